"""The command line of scripts/regenerate."""

import argparse
import signal
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from .errors import RegenerationError, one_line, printable
from .swap import differences, replace, require_replaceable

ROOT = Path(__file__).parents[2]
INSTALL = "run scripts/install"
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
CHANGES_SHOWN = 10
# A document can be made so that reading it, validating it or a pattern in it never ends.
MOST_SECONDS = 120


def main() -> int:
    """Regenerate, or compare with --check. Returns the exit code: 1 when stopped or different."""
    arguments = parse_arguments()
    for number in SIGNALS:
        signal.signal(number, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.alarm(MOST_SECONDS)
    try:
        require_tools()
        return regenerate(arguments)
    except RegenerationError as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        problem = f"the Python module {error.name} is not installed: {INSTALL}"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}" if error.filename else one_line(error)
        problem = printable(problem)
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
        "--from",
        dest="source",
        metavar="SOURCE",
        help="take the document of this page first, and say what changed: the https address of "
        "EvoLink's documentation page, or a file with the page or the document",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="with --from: say what changed, write nothing"
    )
    for name, default, what in (
        ("openapi", "openapi", "of the document"),
        ("client", "generated_client", "to write"),
    ):
        parser.add_argument(
            f"--{name}",
            type=Path,
            default=ROOT / default,
            metavar="DIR",
            help=f"folder {what} (default: {default})",
        )
    arguments = parser.parse_args()
    if arguments.check and arguments.source:
        parser.error("--check changes nothing: give it without --from, or --dry-run with it")
    if arguments.dry_run and not arguments.source:
        parser.error("--dry-run goes with --from; without it, --check writes nothing")
    return arguments


def stop(number: int, frame: FrameType | None) -> None:
    """Stop on a signal by way of every clean-up, which a second Ctrl-C must not stop in turn."""
    for other in SIGNALS:
        signal.signal(other, lambda *_: None)
    if number == signal.SIGALRM:
        sys.exit(f"Error: stopped after {MOST_SECONDS} seconds; nothing was written")
    signal.alarm(0)
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


def regenerate(arguments: argparse.Namespace) -> int:
    """Generate into a fresh folder, then compare it with the client or put it in its place."""
    # Imported late: what is missing or wrong is told before more is loaded.
    from .vendored import effective_document

    openapi, client = arguments.openapi, arguments.client.resolve()
    writes = not (arguments.check or arguments.dry_run)
    if writes:
        require_replaceable(client)
    files: dict[str, bytes] = {}
    if arguments.source:
        from .update import read_update

        update = read_update(arguments.source, openapi)
        if update is None:
            print("nothing to do: it is the document that openapi/ has")
            return 0
        document, warnings, files = update.document, update.warnings, update.files
    else:
        document, warnings = effective_document(openapi)

    from .generator import generate_client

    for warning in warnings:
        print(f"Warning: {warning}", file=sys.stderr)
    # A swap needs a folder on the client's file system; what only reads leaves that one alone.
    place = client.parent if writes else None
    with tempfile.TemporaryDirectory(dir=place, prefix=".regenerate-") as scratch:
        # The package must be named as it will be: the formatter sorts imports by that name.
        fresh = Path(scratch, client.name)
        generate_client(document, openapi, fresh)
        changes = differences(client, fresh)
        if arguments.check:
            return report(client, changes)
        count = sum(path.is_file() for path in fresh.rglob("*"))
        if writes and (changes or files):
            replace(openapi, files, fresh, client)
            signal.alarm(0)
    tell(client, count, changes)
    if arguments.dry_run:
        print("nothing was written")
    return 0


def tell(client: Path, count: int, changes: list[str]) -> None:
    """Print which of the client's files changed."""
    print(f"{client.name}: {count} files, {len(changes)} changed")
    for change in changes[:CHANGES_SHOWN]:
        print(f"  {change}")
    if len(changes) > CHANGES_SHOWN:
        print(f"  and {len(changes) - CHANGES_SHOWN} more")


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


def run() -> None:
    """Exit with the code of main."""
    sys.exit(main())
