"""The result of a check of the installation, as lines and as JSON."""

import json
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import click

Status = Literal["ok", "note", "broken"]
Result = tuple[Status, str]
Check = Callable[[], Result]

_COLOURS = {"ok": "green", "note": "yellow", "broken": "red"}
_NAME_WIDTH = len("generated client")
_INDENT = " " * (6 + 2 + _NAME_WIDTH + 2)
_NARROW = 68  # In a terminal with fewer columns, the message is below the name.


@dataclass(frozen=True)
class Finding:
    """The result of a check.

    Attributes:
        check: versions, settings, key, certificates, server (one for each), authentication, proxy,
            model (one for each), logging, database or generated client.
        status: ok; note, for what works and may surprise; broken, for what stops a prompt or its
            log.
        message: What was found, and what to do unless it is ok. It never holds the key.
    """

    check: str
    status: Status
    message: str


def as_lines(finding: Finding, width: int | None, encoding: str = "utf-8") -> str:
    """Return the finding in colour for a terminal of this width, or on one line if it is None.

    Characters that the encoding lacks are shown as question marks.
    """
    head = f"{click.style(finding.status.ljust(6), fg=_COLOURS[finding.status])}  {finding.check}"
    message = finding.message.encode(encoding, "replace").decode(encoding)
    padding = " " * (_NAME_WIDTH - len(finding.check) + 2)
    if width is None:
        return f"{head}{padding}{message}"
    indent = _INDENT if width >= _NARROW else "  "
    message = textwrap.fill(
        message,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{head}{padding}{message.lstrip()}" if width >= _NARROW else f"{head}\n{message}"


def as_json(findings: Iterable[Finding]) -> str:
    """Return the findings as a JSON list of objects with check, status and message."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)
