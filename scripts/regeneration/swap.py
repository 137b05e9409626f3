"""The folder of the client: whether it may be replaced, what changes in it, and the replacing."""

import filecmp
import tempfile
from pathlib import Path

from .errors import RegenerationError


def require_replaceable(client: Path) -> None:
    """Raise RegenerationError for a folder of something else: --client . would swap out all."""
    if client.exists() and any(client.iterdir()) and not (client / "openapi.json").exists():
        raise RegenerationError(f"{client} is not a generated client: it has no openapi.json")


def differences(old: Path, new: Path) -> list[str]:
    """Return a line for each file that is not the same in both folders; caches do not count."""
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


def replace(openapi: Path, files: dict[str, bytes], fresh: Path, client: Path) -> None:
    """Put the fresh client in place, and with it the files into openapi/: all of them or none."""
    if not files:
        swap((fresh, client))
        return
    with tempfile.TemporaryDirectory(dir=openapi, prefix=".regenerate-") as scratch:
        for name, content in files.items():
            Path(scratch, name).write_bytes(content)
        swap((fresh, client), *((Path(scratch, name), openapi / name) for name in files))


def swap(*pairs: tuple[Path, Path]) -> None:
    """Put each fresh file or folder in its place, or leave all as it was.

    What stood there stays beside the fresh one, with .old at the end of its name.
    """
    try:
        for fresh, place in pairs:
            if place.exists():
                place.rename(_old(fresh))
            fresh.rename(place)
    except BaseException:
        for fresh, place in reversed(pairs):
            if place.exists() and not fresh.exists():
                place.rename(fresh)
            if _old(fresh).exists():
                _old(fresh).rename(place)
        raise


def _old(fresh: Path) -> Path:
    return fresh.with_name(fresh.name + ".old")
