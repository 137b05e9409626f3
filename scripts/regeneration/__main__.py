"""The command line of scripts/regenerate."""

import argparse
import filecmp
import sys
import tempfile
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .errors import RegenerationError

ROOT = Path(__file__).parents[2]
INSTALL = "run scripts/install"


def main() -> int:
    """Regenerate, or compare with --check. Returns the exit code: 1 when stopped or different."""
    parser = argparse.ArgumentParser(
        prog="scripts/regenerate",
        description="Write generated_client/ from openapi/: the vendored document and its overlays.",
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
    arguments = parser.parse_args()
    try:
        require_tools()
        return regenerate(arguments.openapi, arguments.client, check=arguments.check)
    except RegenerationError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


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
    # Not before require_tools has said which of them is missing.
    from .document import effective_document
    from .generator import generate_client

    document, warnings = effective_document(openapi)
    for warning in warnings:
        print(f"Warning: {warning}; the published text stays", file=sys.stderr)
    client.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=client.parent, prefix=".regenerate-") as scratch:
        # The package must be named as it will be: the formatter sorts imports by that name.
        fresh = Path(scratch) / client.name
        generate_client(document, openapi, fresh)
        changes = differences(client, fresh)
        if check:
            return report(client, changes)
        if client.exists():
            client.rename(Path(scratch) / "old")
        fresh.rename(client)
    files = sum(1 for path in client.rglob("*") if path.is_file())
    print(f"{client.name}: {files} files, {len(changes)} changed")
    for change in changes:
        print(f"  {change}")
    return 0


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
        f"Error: {client.name} is not what the document generates; run scripts/regenerate:",
        file=sys.stderr,
    )
    for change in changes:
        print(f"  {change}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
