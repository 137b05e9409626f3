"""The command line of scripts/regenerate."""

import argparse
import resource
import signal
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from .errors import RegenerationError, one_line, printable
from .swap import differences, replace, require_replaceable, scratch_folder, undo_interrupted

if TYPE_CHECKING:
    from .vendored import Effective

ROOT = Path(__file__).parents[2]
INSTALL = "run scripts/install"
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
CHANGES_SHOWN = 10
# CPU seconds of a process: a hostile document or pattern could be read for ever.
MOST_SECONDS = 120


def run() -> NoReturn:
    """Exit with the code of main; stop on signals and at the CPU limit, with every clean-up."""
    for number in (*SIGNALS, signal.SIGXCPU):
        signal.signal(number, _stop)
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + MOST_SECONDS
    # Its children inherit the limit, each for its own CPU time.
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    sys.exit(main(sys.argv[1:]))


def main(argv: list[str]) -> int:
    """Regenerate, or compare with --check. Return the exit code: 1 for an error or a difference."""
    arguments = parse_arguments(argv)
    try:
        _require_tools()
        openapi, client = arguments.openapi, arguments.client.resolve()
        for note in undo_interrupted([client.parent, openapi, Path(tempfile.gettempdir())]):
            print(f"Note: {note}", file=sys.stderr)
        return _regenerate(arguments, openapi, client)
    except RegenerationError as error:
        problem = str(error)
    except ModuleNotFoundError as error:
        problem = f"the Python module {error.name} is not installed: {INSTALL}"
    except OSError as error:
        problem = f"{error.filename}: {error.strerror}" if error.filename else one_line(error)
        problem = printable(problem)
    print(f"Error: {problem}", file=sys.stderr)
    return 1


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """Return the parsed arguments. Exits with code 2 for a usage error."""
    parser = argparse.ArgumentParser(
        prog="scripts/regenerate",
        description="Write generated_client/ from the document and the overlays in openapi/.",
    )
    add = parser.add_argument
    add(
        "--check",
        action="store_true",
        help="write nothing; exit with code 1 and list the files that differ from the client",
    )
    add(
        "--from",
        dest="source",
        metavar="SOURCE",
        type=_not_empty,
        help="use the document of this page: the https URL of EvoLink's documentation page, or a "
        "file with the page or the document; print what changed and try the new client first",
    )
    add("--dry-run", action="store_true", help="with --from: do everything but write")
    add(
        "--force",
        action="store_true",
        help="write in spite of overlay actions that do not fit and of a trial that fails; "
        "the failures are still printed",
    )
    add(
        "--allow-server",
        dest="allowed_hosts",
        metavar="HOST",
        type=_not_empty,
        action="append",
        default=[],
        help="with --from: accept this new server, to which prompts and the API key are sent; can "
        "be given more than once",
    )
    add(
        "--prune",
        action="store_true",
        help="with --from: delete obsolete and superseded overlay actions",
    )
    for name, default, what in (
        ("openapi", "openapi", "with the document"),
        ("client", "generated_client", "to write"),
    ):
        add(
            f"--{name}",
            type=lambda text: Path(_not_empty(text)),
            default=ROOT / default,
            metavar="DIR",
            help=f"folder {what} (default: {default})",
        )
    arguments = parser.parse_args(argv)
    if arguments.check and arguments.source:
        parser.error("--check is without --from; with --from, --dry-run writes nothing")
    for option in ("dry_run", "prune", "allowed_hosts"):
        if getattr(arguments, option) and not arguments.source:
            name = {"allowed_hosts": "allow-server"}.get(option, option.replace("_", "-"))
            hint = "; without it, --check writes nothing" if option == "dry_run" else ""
            parser.error(f"--{name} needs --from{hint}")
    return arguments


def _not_empty(text: str) -> str:
    """Return the text. An empty one, such as an unset variable, is a usage error."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Exit, with every clean-up; a second signal does not interrupt it."""
    for other in SIGNALS:
        signal.signal(other, lambda *_: None)
    if number == signal.SIGXCPU:
        sys.exit(f"Error: stopped after {MOST_SECONDS} seconds of CPU; nothing was written")
    sys.exit(128 + number)


def _require_tools() -> None:
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


def _regenerate(arguments: argparse.Namespace, openapi: Path, client: Path) -> int:
    """Generate in a scratch folder, then compare with the client, or try and replace it."""
    # Imported late, so that a missing tool is reported before more is loaded.
    from .vendored import vendored_document, with_overlays

    writes = not (arguments.check or arguments.dry_run)
    if writes:
        require_replaceable(client)
    files: dict[str, bytes] = {}
    failures: list[str] = []
    changed = False
    if arguments.source:
        from .update import read_update

        update = read_update(
            arguments.source,
            openapi,
            allowed_hosts=frozenset(host.lower() for host in arguments.allowed_hosts),
            prune=arguments.prune,
            force=arguments.force,
        )
        effective, files, failures = update.effective, update.files, update.failures
        changed = update.changed
        if not files:
            print("nothing to do: openapi/ has this document")
            return 0
        for line in update.report:
            print(line)
    else:
        effective = with_overlays(vendored_document(openapi), openapi)
        if not arguments.force:
            effective.require_fit()
    return _generate(arguments, client, effective, files, failures, changed=changed)


def _generate(
    arguments: argparse.Namespace,
    client: Path,
    effective: "Effective",
    files: dict[str, bytes],
    failures: list[str],
    *,
    changed: bool,
) -> int:
    from .generator import generate_client
    from .update import notices, require_acceptable

    sys.stdout.flush()  # Before what is printed on stderr.
    if not arguments.prune:
        for line in notices(effective.outcomes):
            print(f"Note: {printable(line)}", file=sys.stderr)
    require_acceptable(failures, force=arguments.force)
    writes = not (arguments.check or arguments.dry_run)
    # The replacement needs a folder on the client's file system.
    parent = client.parent if writes else Path(tempfile.gettempdir())
    with scratch_folder(parent) as scratch:
        # The package has its final name: the formatter sorts imports by that name.
        fresh = scratch / client.name
        generate_client(effective, arguments.openapi, fresh)
        differing = differences(client, fresh)
        if arguments.check:
            return _report_check(client, differing)
        if changed and differing:
            failures = [*failures, *_trial(scratch, fresh)]
        require_acceptable(failures, force=arguments.force)
        for line in failures:
            print(f"Warning: {printable(line)}", file=sys.stderr)
        count = sum(path.is_file() for path in fresh.rglob("*"))
        if writes and (differing or files):
            replace(arguments.openapi, files, fresh, client)
    _print_files(client, count, differing)
    for name in files:
        if name.startswith("overlays/"):
            print(f"  pruned   {name}")
    if arguments.dry_run:
        print("nothing was written")
    return 0


def _trial(scratch: Path, fresh: Path) -> list[str]:
    """Return the failures of a trial of the fresh client, which may have another name."""
    from .trial import try_client

    if fresh.name == "generated_client":
        return try_client(scratch)
    folder = scratch / "trial"
    folder.mkdir()
    (folder / "generated_client").symlink_to(fresh)
    return try_client(folder)


def _print_files(client: Path, count: int, differing: list[str]) -> None:
    """Print which of the client's files changed."""
    print(f"{client.name}: {count} files, {len(differing)} changed")
    for line in differing[:CHANGES_SHOWN]:
        print(f"  {line}")
    if len(differing) > CHANGES_SHOWN:
        print(f"  and {len(differing) - CHANGES_SHOWN} more")


def _report_check(client: Path, differing: list[str]) -> int:
    """Print whether the committed client is up to date; return the exit code."""
    if not differing:
        print(f"{client.name} is what the document generates")
        return 0
    print(
        f"Error: {client.name} is not what the document generates; run scripts/regenerate:",
        *(f"  {line}" for line in differing),
        sep="\n",
        file=sys.stderr,
    )
    return 1
