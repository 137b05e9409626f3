"""Checks of llm's log: whether it is on, and whether its database can be written."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from ...llm_folder import log_path, user_folder
from .finding import Result

LOCK_TIMEOUT = 5.0
"""Seconds to wait for a locked database, as long as llm does."""

NEEDED_BYTES = 2**20
"""Free bytes that the log needs: more than a prompt with its journal."""


def logging() -> Result:
    """Return whether llm logs prompts."""
    if (user_folder() / "logs-off").exists():
        return "note", "off, so nothing is logged; turn it on with: llm logs on"
    return "ok", "on"


def database() -> Result:
    """Return the path of the database; broken if llm could not write to it now."""
    path = log_path()
    if problem := _why_not_writable(path):
        # With logging off, nothing would be written.
        return ("broken" if logging()[0] == "ok" else "note"), problem
    return "ok", str(path) if path.exists() else f"{path}, not there before the first prompt"


def _why_not_writable(path: Path) -> str | None:
    """Return why llm could not write to the database now, None if it could."""
    for each in (path.parent, path):  # SQLite also writes a journal in the folder.
        if each.exists() and not os.access(each, os.W_OK):
            return (
                f"{each} cannot be written to: change its permissions, or name another folder in "
                "LLM_USER_PATH"
            )
    return _why_no_space(path.parent) or (_why_locked(path) if path.exists() else None)


def _why_no_space(folder: Path) -> str | None:
    """Return why a temporary file of NEEDED_BYTES cannot be written, None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(NEEDED_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        size = f"{NEEDED_BYTES / 2**20:g} MB"
        return f"{folder} has no room for {size} ({error.strerror}): free some space"
    return None


def _why_locked(path: Path) -> str | None:
    try:
        uri = f"{path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT)) as connection:
            connection.execute("begin immediate")
            connection.rollback()
    except sqlite3.Error as error:
        if "locked" in str(error):
            return f"{path} is locked by another process: wait for it, or end it"
        return f"{path} cannot be written to ({error}): move it away, and llm creates a new one"
    return None
