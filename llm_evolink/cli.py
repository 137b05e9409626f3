"""`llm evolink`: commands beside the model."""

import click


def register(cli: click.Group) -> None:
    """Add the group `evolink` to llm's commands."""
    cli.add_command(evolink)


@click.group()
def evolink() -> None:
    """Commands for EvoLink: a local sandbox to try scripts against."""


def _failure(value: str) -> tuple[int, int]:
    status, _, count = value.partition(":")
    if not (status.isdecimal() and count.isdecimal()):
        raise click.BadParameter(f"{value!r} is not a status and a count, such as 429:2")
    return int(status), int(count)


_SECONDS = click.FloatRange(min=0)


@evolink.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8787,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
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
def sandbox(
    host: str,
    port: int,
    fail: tuple[tuple[int, int], ...],
    latency: float,
    chunk_delay: float,
    cut_after: int | None,
    garble: bool,
) -> None:
    """Run a local server that answers as EvoLink would.

    There is no model behind it and any key will do. It checks each request against
    the document and answers with made-up text that echoes the prompt. A prompt that
    names an offered tool has it called, with the JSON object that follows the name.
    """
    import errno
    import signal
    import time
    from contextlib import suppress

    try:
        from .sandbox import serve
    except ModuleNotFoundError:
        raise click.ClickException(
            "the sandbox needs its extra: llm install 'llm-evolink[sandbox]'"
        ) from None

    # SIGTERM ends it as Ctrl-C does; a shell may have had SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with (
            suppress(KeyboardInterrupt),
            serve(
                host=host,
                port=port,
                fail=fail,
                latency=latency,
                chunk_delay=chunk_delay,
                cut_after=cut_after,
                garble=garble,
                log=click.echo,
            ) as server,
        ):
            _introduce(server.url)
            while True:
                time.sleep(3600)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--fail'") from None
    except OSError as error:
        in_use = "the port is in use; name another with --port, or 0 for any free one"
        reason = in_use if error.errno == errno.EADDRINUSE else error.strerror
        raise click.ClickException(
            f"the sandbox cannot listen on {host}:{port}: {reason}"
        ) from None


def _introduce(url: str) -> None:
    from ipaddress import ip_address
    from urllib.parse import urlsplit

    host = urlsplit(url).hostname or ""
    if not ip_address(host).is_loopback:
        click.echo(
            f"Warning: the sandbox listens on {host}, beyond this machine: anyone who reaches it "
            "can use it. Clients need EVOLINK_ALLOW_HTTP=1.",
            err=True,
        )
    click.echo(
        f"EvoLink sandbox on {url} (no model: answers are made up). Stop it with Ctrl-C.\n\n"
        f"export EVOLINK_BASE_URL={url}\nexport EVOLINK_API_KEY=sandbox\n"
    )
