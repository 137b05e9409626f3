"""llm's user folder, and why it or a file in it cannot be used."""

import json
from pathlib import Path

import llm

BATCHES = "evolink-batches"
"""Folder in it with the state files of batches."""

FILES = ("keys.json", "aliases.json")
"""Files in the folder that llm reads and raises an error of their JSON for."""


def user_folder() -> Path:
    """Return llm's user folder, which is created if it is missing. Raises OSError."""
    return Path(llm.user_dir())  # type: ignore[no-untyped-call]


def log_path() -> Path:
    """Return the path of llm's log, which need not exist. Raises OSError."""
    return user_folder() / "logs.db"


def folder_problem() -> str | None:
    """Return why the folder or one of FILES cannot be used, and what to do; None if all can be."""
    try:
        for path in map(user_folder().joinpath, FILES):
            if path.exists() and (problem := _invalid(path)):
                return f"{path} is {problem}: correct it or remove it"
    except OSError as error:
        return unusable(error)
    return None


def unusable(error: OSError) -> str:
    """Return why the folder or file of the error cannot be used, and what to do."""
    return (
        f"{error.filename} cannot be used ({error.strerror}): change its permissions, move it "
        "away, or name another folder in LLM_USER_PATH"
    )


def _invalid(path: Path) -> str | None:
    try:
        data = json.loads(path.read_text())  # In the locale's encoding, as llm reads it.
    except ValueError as error:
        return f"not JSON ({error})"
    return None if isinstance(data, dict) else "not a JSON object"
