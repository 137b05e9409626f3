"""The shell command that installs an extra of this package where llm is installed."""

import json
import shlex
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

PACKAGE = "llm-evolink"


def install_command(extra: str) -> str:
    """Return the shell command that adds the extra, for the tool that installed llm.

    pipx and uv leave a file in the environment. For pip and Homebrew the command is `llm install`,
    which runs the environment's pip.
    """
    environment = Path(sys.prefix)
    requirement = _requirement(extra)
    if (environment / "pipx_metadata.json").is_file():
        words = ["pipx", "inject", "--force", environment.name, requirement]
    elif (environment / "uv-receipt.toml").is_file():
        words = ["uv", "tool", "install", "llm"]
        for each in (*_other_requirements(environment / "uv-receipt.toml"), requirement):
            words += ["--with", each]
    else:
        words = ["llm", "install", requirement]
    return shlex.join(words)


def _requirement(extra: str) -> str:
    """Return the requirement: the name of this package, or the URL it was installed from."""
    source: dict[str, Any] = {}
    with suppress(PackageNotFoundError, ValueError):
        source = json.loads(distribution(PACKAGE).read_text("direct_url.json") or "{}")
    url = source.get("url", "")
    if url.startswith("file://") and "dir_info" in source:
        return f"{url.removeprefix('file://')}[{extra}]"
    if url and "vcs_info" in source:
        url = f"{source['vcs_info']['vcs']}+{url}"
    return f"{PACKAGE}[{extra}] @ {url}" if url else f"{PACKAGE}[{extra}]"


def _other_requirements(receipt: Path) -> Iterator[str]:
    """Yield the other packages of the receipt: uv removes those that the command omits."""
    with suppress(OSError, ValueError, KeyError):
        for entry in tomllib.loads(receipt.read_text(encoding="utf-8"))["tool"]["requirements"]:
            if entry["name"] not in ("llm", PACKAGE):
                source = entry.get("directory") or entry.get("editable")
                yield source or entry["name"] + entry.get("specifier", "")
