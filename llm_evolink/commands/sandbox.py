"""`llm evolink sandbox`: options of the command, and the loop that runs the server."""

import errno
import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import llm

from ..sandbox.faults import MAX_SECONDS, Faults
from ..sandbox.reply.backend import Model
from ..sandbox.reply.fixed import read_replies
from ..sandbox.server import serve

TICK = 0.1
"""Seconds between two checks for a signal."""


def _failure(value: str) -> tuple[int, int]:
    status, _, count = value.partition(":")
    if not (status.isdecimal() and count.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a status and a count, such as 429:2")
    return int(status), int(count)


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= MAX_SECONDS:  # False for nan as well.
        raise click.BadParameter(f"{value!r} is not a number of seconds from 0 to {MAX_SECONDS}")
    return seconds


@click.command()
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Host name or IP address to listen on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--model",
    "models",
    metavar="NAME",
    multiple=True,
    help="Accept requests for this model as well, beside those of the document. Repeatable.",
)
@click.option(
    "--backend",
    metavar="MODEL",
    help="Answer with this model of llm. Default: generated text.",
)
@click.option(
    "--reply",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own replies: a YAML or JSON list of objects with a prompt (a regular expression) "
    "and a reply. The first match is sent.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Append each request to FILE as a line of JSON, without keys.",
)
@click.option(
    "--fail",
    type=_failure,
    metavar="STATUS:COUNT",
    multiple=True,
    help="Answer the first COUNT requests with the error STATUS. Repeat it for the next ones.",
)
@click.option(
    "--latency",
    type=_seconds,
    metavar="SECONDS",
    default="0",
    help="Wait SECONDS before each answer.",
)
@click.option(
    "--chunk-delay",
    type=_seconds,
    metavar="SECONDS",
    default="0",
    help="Wait SECONDS after each event of a stream.",
)
@click.option(
    "--cut-after",
    type=click.IntRange(min=0),
    metavar="N",
    help="Drop the connection after N chunks of a stream.",
)
@click.option("--garble", is_flag=True, help="Make the third chunk of each stream invalid JSON.")
def sandbox(**settings: Any) -> None:
    """Run a local server that answers in the format of EvoLink.

    It checks each request against EvoLink's document, accepts any key but "invalid", and answers
    with generated text that echoes the prompt. A prompt that names an offered tool gets
    a call of that tool, with the JSON object that follows the name as arguments. With
    --reply you write the answers, with --backend a model that is installed in llm does.

    It prints two lines to paste into another shell, and then one line for each
    request: status, tokens in and out, milliseconds, and fields that the document does
    not have. Ctrl-C stops it.
    """
    run(**settings)


def run(reply: Path | None, backend: str | None, **settings: Any) -> None:
    """Run the sandbox until it is interrupted or terminated.

    Args:
        reply: File of replies, in the format of read_replies.
        backend: Name of a model that is installed in llm.
        settings: Arguments of serve.

    Raises click.ClickException for a setting that cannot be used.
    """
    _check_failures(settings["fail"])
    model = None if backend is None else _model(backend)
    replies = _replies(reply) if reply else []
    _on_signals(_stop)
    serving = serve(backend=model, replies=replies, keep_requests=False, log=click.echo, **settings)
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        try:
            server = stack.enter_context(serving)
        except OSError as error:
            raise click.ClickException(_explain(error, settings)) from None
        _introduce(server.url, model)
        while True:
            # Short: a signal that the server's thread receives does not wake this one.
            time.sleep(TICK)


def _on_signals(handle: Callable[[int, Any], None]) -> None:
    """Set the handler of SIGTERM and SIGINT; a shell can have set SIGINT to be ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _stop(number: int, frame: Any) -> None:
    """Interrupt the command; the next signal ends the process at once."""
    _on_signals(_exit)
    raise KeyboardInterrupt


def _exit(number: int, frame: Any) -> None:
    os._exit(0)


def _check_failures(fail: tuple[tuple[int, int], ...]) -> None:
    try:
        Faults(fail)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--fail'") from None


def _model(name: str) -> Model:
    if not name:
        raise click.ClickException("--backend needs the name of a model; see: llm models list")
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
    source = f"answers of {model.model_id}" if model else "generated answers, no model"
    click.echo(
        f"EvoLink sandbox on {url} ({source}). Stop it with Ctrl-C.\n\n"
        f"export EVOLINK_BASE_URL={url}\nexport EVOLINK_API_KEY=sandbox\n"
    )
