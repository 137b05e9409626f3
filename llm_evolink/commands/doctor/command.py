"""`llm evolink doctor`."""

import os
import shutil
import sys

import click

from .checks import examine
from .finding import as_json, as_lines


@click.command()
@click.option("--json", "json_", is_flag=True, help="Output as JSON.")
def doctor(json_: bool) -> None:
    """Check what a prompt needs: key, servers, log and so on.

    Each check is a line: ok; note, for what works and may surprise you; or broken,
    with what to do. Exits with 1 if something is broken. --json prints a list of
    objects with check, status and message. NO_COLOR=1 turns colours off.

    Each server is sent one request without messages, which it has to refuse: its
    answer shows whether it accepts the key, and nothing is generated or billed. The
    request allows one token of output, in case a server does not refuse it. Of the
    key at most the last four characters are shown.
    """
    findings = []
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    color = False if is_plain else None  # None: where standard output is a terminal.
    for finding in examine():
        findings.append(finding)
        if not json_:
            click.echo(as_lines(finding, width, sys.stdout.encoding), color=color)
    if json_:
        click.echo(as_json(findings))
    if any(finding.status == "broken" for finding in findings):
        raise click.exceptions.Exit(1)
