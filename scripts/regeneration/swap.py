"""Replaces the client and the files of openapi/ together, so that a kill at any time is undone.

A scratch folder named .regenerate-* is locked while its run lives. Before the first rename a
journal in it names every pair of paths; it is deleted after the last. A later run finds folders
without a lock: with a journal, it renames everything back; without, it deletes the folder.
"""

import fcntl
import filecmp
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import RegenerationError

PREFIX = ".regenerate-"
JOURNAL = "journal.json"

Pair = tuple[Path, Path]


def require_replaceable(client: Path) -> None:
    """Raise RegenerationError for a folder with other content: --client . would replace it."""
    if client.exists() and any(client.iterdir()) and not (client / "openapi.json").exists():
        raise RegenerationError(f"{client} is not a generated client: it has no openapi.json")


def differences(old: Path, new: Path) -> list[str]:
    """Return a line for each file that differs between the folders; caches are left out."""
    files = {
        path.relative_to(folder)
        for folder in (old, new)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    lines = []
    for file in sorted(files):
        if not (old / file).exists():
            lines.append(f"added    {file}")
        elif not (new / file).exists():
            lines.append(f"removed  {file}")
        elif not filecmp.cmp(old / file, new / file, shallow=False):
            lines.append(f"changed  {file}")
    return lines


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Make a locked scratch folder in the parent; it is deleted at the end. Raises OSError."""
    with _locked(parent):
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=PREFIX))
        descriptor = os.open(scratch, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
        os.close(descriptor)


def replace(openapi: Path, files: dict[str, bytes], fresh: Path, client: Path) -> None:
    """Put the fresh client in place, and with it the files into openapi/: all of them or none.

    `fresh` is in a scratch folder. Raises OSError, after the old files are back.
    """
    if not files:
        swap([(fresh, client)], fresh.parent / JOURNAL)
        return
    with scratch_folder(openapi) as scratch:
        pairs = [(fresh, client)]
        for number, (name, content) in enumerate(files.items()):
            path = scratch / str(number)
            path.write_bytes(content)
            pairs.append((path, openapi / name))
        swap(pairs, fresh.parent / JOURNAL)


def swap(pairs: list[Pair], journal: Path) -> None:
    """Rename each fresh file or folder to its place, or leave everything as it was.

    The old one is kept beside the fresh one, with .old at the end of its name.
    """
    text = json.dumps([[str(fresh), str(place)] for fresh, place in pairs])
    unfinished = journal.with_suffix(".new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.rename(journal)
    try:
        for fresh, place in pairs:
            if place.exists():
                place.rename(_old(fresh))
            fresh.rename(place)
    except BaseException:
        _roll_back(pairs)
        raise
    finally:
        journal.unlink()


def undo_interrupted(folders: Iterable[Path]) -> list[str]:
    """Undo what killed runs left in the folders; return a line for each run that was undone.

    Raises RegenerationError when a file cannot be put back, OSError.
    """
    notes = []
    abandoned: list[Path] = []
    for folder in dict.fromkeys(folders):
        if not folder.is_dir():
            continue
        with _locked(folder):
            abandoned += [
                scratch
                for scratch in sorted(folder.glob(f"{PREFIX}*"))
                if scratch.is_dir() and scratch.stat().st_uid == os.getuid() and _is_free(scratch)
            ]
    # All journals first: one beside the client names files in the folders of openapi/.
    for scratch in abandoned:
        journal = scratch / JOURNAL
        if journal.exists():
            pairs = [(Path(fresh), Path(place)) for fresh, place in json.loads(journal.read_text())]
            _roll_back(pairs)
            journal.unlink()
            notes.append("a run that was killed is undone: the files are as they were before it")
    for scratch in abandoned:
        shutil.rmtree(scratch, ignore_errors=True)
    return notes


def _roll_back(pairs: list[Pair]) -> None:
    for fresh, place in reversed(pairs):
        if place.exists() and not fresh.exists():
            place.rename(fresh)
        if _old(fresh).exists():
            _old(fresh).rename(place)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, so that no scratch folder is seen before it is locked itself."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_free(scratch: Path) -> bool:
    """Return whether no running process has locked the scratch folder."""
    descriptor = os.open(scratch, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _old(fresh: Path) -> Path:
    return fresh.with_name(fresh.name + ".old")
