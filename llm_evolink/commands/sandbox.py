"""`llm evolink sandbox`: its options, and the loop that runs the server."""

import errno
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import llm

from ..sandbox.faults import Faults
from ..sandbox.reply.backend import Model
from ..sandbox.reply.canned import read_replies
from ..sandbox.server import serve

TICK = 0.1
"""Seconds between two looks at whether a signal came."""


def _failure(value: str) -> tuple[int, int]:
    status, _, count = value.partition(":")
    if not (status.isdecimal() and count.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a status and a count, such as 429:2")
    return int(status), int(count)


_SECONDS = click.FloatRange(min=0)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--backend",
    metavar="MODEL",
    help="Let this model of llm answer; made-up text is the default.",
)
@click.option(
    "--reply",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Replies of your own: a YAML or JSON list of objects, each with a prompt (a regular "
    "expression) and a reply. The first that fits is given.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append each request to FILE as a line of JSON, without its key.",
)
@click.option(
    "--fail",
    type=_failure,
    metavar="STATUS:COUNT",
    multiple=True,
    help="Answer the first COUNT requests with the error STATUS. Repeatable.",
)
@click.option(
    "--latency", type=_SECONDS, metavar="SECONDS", default=0, help="Wait before each answer."
)
@click.option(
    "--chunk-delay",
    type=_SECONDS,
    metavar="SECONDS",
    default=0,
    help="Wait after each event of a stream.",
)
@click.option(
    "--cut-after",
    type=click.IntRange(min=0),
    metavar="N",
    help="Drop the connection after N chunks of a stream.",
)
@click.option("--garble", is_flag=True, help="Send a chunk that is not JSON in each stream.")
def sandbox(**settings: Any) -> None:
    """Run a local server that answers as EvoLink would.

    It checks each request against EvoLink's document, takes any key, and answers
    with made-up text that echoes the prompt. A prompt that names an offered tool has
    it called, with the JSON object that follows the name. With --reply the answers are
    yours, with --backend those of a model that is installed in llm.

    It prints the two lines to paste into another shell, and then a line for each
    request: its status, tokens in and out, milliseconds. Ctrl-C stops it.
    """
    run(**settings)


def run(reply: Path | None, backend: str | None, **settings: Any) -> None:
    """Run the sandbox until it is interrupted or terminated.

    Args:
        reply: File of replies, as read_replies takes it.
        backend: Name of a model that is installed in llm.
        settings: Arguments for serve.
    """
    _check_failures(settings["fail"])
    model = _model(backend) if backend else None
    replies = _replies(reply) if reply else []
    _on_signals(_stop)
    try:
        with (
            suppress(KeyboardInterrupt),
            serve(backend=model, replies=replies, log=click.echo, **settings) as server,
        ):
            _introduce(server.url, model)
            while True:
                # Briefly: a signal that the server's thread gets does not wake this one.
                time.sleep(TICK)
    except OSError as error:
        raise click.ClickException(_explain(error, settings)) from None


def _on_signals(handle: Callable[[int, Any], None]) -> None:
    """Have SIGTERM end it as Ctrl-C does, which a shell may have had ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _stop(number: int, frame: Any) -> None:
    """Interrupt it, once: a script that is interrupted sends SIGTERM after its own SIGINT."""
    _on_signals(lambda number, frame: None)
    raise KeyboardInterrupt


def _check_failures(fail: tuple[tuple[int, int], ...]) -> None:
    try:
        Faults(fail).failures()
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--fail'") from None


def _model(name: str) -> Model:
    try:
        return llm.get_model(name)
    except llm.UnknownModelError as error:
        raise click.ClickException(f"{error.args[0]}; see: llm models list") from None


def _replies(path: Path) -> list[tuple[str, str]]:
    try:
        return read_replies(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _explain(error: OSError, settings: dict[str, Any]) -> str:
    if error.filename is not None:
        return f"the sandbox cannot write {error.filename}: {error.strerror}"
    reason = error.strerror
    if error.errno == errno.EADDRINUSE:
        reason = "the port is in use; name another with --port, or 0 for any free one"
    return f"the sandbox cannot listen on {settings['host']}:{settings['port']}: {reason}"


def _introduce(url: str, model: Model | None) -> None:
    host = urlsplit(url).hostname or ""
    if not ip_address(host).is_loopback:
        click.echo(
            f"Warning: the sandbox listens on {host}, beyond this machine: anyone who reaches it "
            "can use it. Clients need EVOLINK_ALLOW_HTTP=1.",
            err=True,
        )
    source = f"answers are from {model.model_id}" if model else "no model: answers are made up"
    click.echo(
        f"EvoLink sandbox on {url} ({source}). Stop it with Ctrl-C.\n\n"
        f"export EVOLINK_BASE_URL={url}\nexport EVOLINK_API_KEY=sandbox\n"
    )
