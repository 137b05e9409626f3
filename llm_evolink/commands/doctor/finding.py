"""What a check of the installation found, as lines and as JSON."""

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


@dataclass(frozen=True)
class Finding:
    """What came of a check.

    Attributes:
        check: versions, settings, key, trust, server (one for each), access, proxy, model, logging,
            database or client.
        status: ok; note, for what works and may surprise; broken, for what stops a prompt or its
            log.
        message: What was found, and what to do unless it is ok. It never holds the key.
    """

    check: str
    status: Status
    message: str


def as_lines(finding: Finding, width: int | None, encoding: str = "utf-8") -> str:
    """Return the finding in colour for a terminal of this width, on one line for None.

    What the encoding has not is shown as a question mark.
    """
    head = f"{click.style(finding.status.ljust(6), fg=_COLOURS[finding.status])}  "
    head += finding.check.ljust(8)
    said = finding.message.encode(encoding, "replace").decode(encoding)
    if width is None:
        return f"{head}  {said}"
    aside = width >= 60
    indent = " " * (18 if aside else 2)
    message = textwrap.fill(
        said,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"{head}  {message.lstrip()}" if aside else f"{head.rstrip()}\n{message}"


def as_json(findings: Iterable[Finding]) -> str:
    """Return the findings as a JSON list of objects with check, status and message."""
    return json.dumps([asdict(finding) for finding in findings], indent=2)
