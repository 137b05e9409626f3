"""The command line of scripts/regenerate."""

import argparse
import filecmp
import signal
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from .errors import RegenerationError, one_line

ROOT = Path(__file__).parents[2]
INSTALL = "run scripts/install"
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
CHANGES_SHOWN = 10


def main() -> int:
    """Regenerate, or compare with --check. Returns the exit code: 1 when stopped or different."""
    arguments = parse_arguments()
    for number in SIGNALS:
        signal.signal(number, stop)
    try:
        require_tools()
        return regenerate(arguments.openapi, arguments.client.resolve(), check=arguments.check)
    except RegenerationError as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        problem = f"the Python module {error.name} is not installed: {INSTALL}"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}" if error.filename else one_line(error)
    print(f"Error: {problem}", file=sys.stderr)
    return 1


def parse_arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        prog="scripts/regenerate",
        description="Write generated_client/ from the document and the overlays in openapi/.",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 1 and list what differs from the committed client",
    )
    parser.add_argument(
        "--openapi",
        type=Path,
        default=ROOT / "openapi",
        metavar="DIR",
        help="folder of the document (default: openapi)",
    )
    parser.add_argument(
        "--client",
        type=Path,
        default=ROOT / "generated_client",
        metavar="DIR",
        help="folder to write (default: generated_client)",
    )
    return parser.parse_args()


def stop(number: int, frame: FrameType | None) -> None:
    """Stop on a signal by way of every clean-up, which a second Ctrl-C must not stop in turn."""
    for other in SIGNALS:
        signal.signal(other, lambda *_: None)
    sys.exit(128 + number)


def require_tools() -> None:
    """Raise RegenerationError unless the exactly pinned tools of the dev extra are installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for requirement in project["optional-dependencies"]["dev"]:
        name, pinned, wanted = requirement.partition("==")
        if not pinned:
            continue
        try:
            found = version(name)
        except PackageNotFoundError:
            raise RegenerationError(f"{name} is not installed: {INSTALL}") from None
        if found != wanted:
            raise RegenerationError(f"{name} {found} is installed, {wanted} is needed: {INSTALL}")


def regenerate(openapi: Path, client: Path, *, check: bool) -> int:
    """Generate into a fresh folder, then compare it with the client or swap it in whole."""
    # Imported late: what is missing or wrong is told before more is loaded.
    from .document import effective_document

    if not check:
        require_replaceable(client)
    document, warnings = effective_document(openapi)

    from .generator import generate_client

    for warning in warnings:
        print(f"Warning: {warning}; the published text stays", file=sys.stderr)
    # A swap needs a folder on the client's file system; a check leaves that one alone.
    place = None if check else client.parent
    with tempfile.TemporaryDirectory(dir=place, prefix=".regenerate-") as scratch:
        # The package must be named as it will be: the formatter sorts imports by that name.
        fresh = Path(scratch, "new", client.name)
        generate_client(document, openapi, fresh)
        changes = differences(client, fresh)
        if check:
            return report(client, changes)
        files = sum(path.is_file() for path in fresh.rglob("*"))
        if changes:
            swap(fresh, client, Path(scratch, "old"))
    print(f"{client.name}: {files} files, {len(changes)} changed")
    for change in changes[:CHANGES_SHOWN]:
        print(f"  {change}")
    if len(changes) > CHANGES_SHOWN:
        print(f"  and {len(changes) - CHANGES_SHOWN} more")
    return 0


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


def report(client: Path, changes: list[str]) -> int:
    """Tell whether the committed client is what the document generates."""
    if not changes:
        print(f"{client.name} is what the document generates")
        return 0
    print(
        f"Error: {client.name} is not what the document generates; scripts/regenerate makes it so:",
        *(f"  {change}" for change in changes),
        sep="\n",
        file=sys.stderr,
    )
    return 1


def swap(fresh: Path, client: Path, old: Path) -> None:
    """Put the fresh folder in the client's place, whole or not at all."""
    try:
        if client.exists():
            client.rename(old)
        fresh.rename(client)
    except BaseException:
        if old.exists() and not client.exists():
            old.rename(client)
        raise


if __name__ == "__main__":
    sys.exit(main())
