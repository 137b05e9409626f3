"""The server: uvicorn in a thread, for as long as a with block."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from .app import build_app
from .faults import Faults
from .recording import recording
from .reply.backend import Model
from .reply.canned import Canned
from .reply.source import answers
from .route import Completions, ReceivedRequest

TICK = 0.005
"""Seconds between two looks at whether the server has started, or is to stop."""

GRACE = 0.05
"""Seconds for a request to notice that its client is gone."""


@dataclass(frozen=True)
class Server:
    """A running sandbox.

    Attributes:
        url: Its address, http://HOST:PORT, with the port it really has.
        requests: The requests for a completion received so far, oldest first.
    """

    url: str
    requests: list[ReceivedRequest] = field(default_factory=list)


@contextmanager
def serve(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    fail: Iterable[tuple[int, int]] = (),
    latency: float = 0.0,
    chunk_delay: float = 0.0,
    cut_after: int | None = None,
    garble: bool = False,
    replies: Iterable[tuple[str, str]] = (),
    backend: Model | None = None,
    record: str | Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[Server]:
    """Run the sandbox in a thread until the block ends; no client is waited for.

    Args:
        host: Name or address to listen on.
        port: Port to listen on, 0 to 65535; 0 for a free one.
        fail: Pairs of status and count, in order: that status answers the next so many requests.
        latency: Seconds to wait before each answer.
        chunk_delay: Seconds to wait after each event of a stream.
        cut_after: Chunks of a stream after which the connection is dropped; None for never.
        garble: Whether the third chunk of a stream is not JSON.
        replies: Pairs of prompt, a regular expression searched in the last user message, and
            the text to answer it with; the first that fits is taken.
        backend: A model of llm that answers what no reply is for; without one, made-up text.
        record: A file to append each request to, as a line of JSON without its key.
        log: Called, in the server's thread, with a line for each answered request.

    Raises:
        OSError: If it cannot listen there: a port in use, a host that is not of this machine.
            With a filename, if it cannot write the record.
        ValueError: If fail holds a status that the document does not have, or replies what is
            not a regular expression.
    """
    faults = Faults(tuple(fail), latency, chunk_delay, cut_after, garble)
    canned = Canned(replies)
    with recording(record, log) as recorder, _listening_socket(host, port) as listener:
        server = Server(_url(listener))
        answer = answers(canned, backend, server.url)
        config = uvicorn.Config(
            build_app(Completions(answer, faults, server.requests), log, recorder),
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            # It would log a traceback for each connection that a fault or the end cuts.
            log_level="critical",
            access_log=False,
            server_header=False,
        )
        running = _Uvicorn(config)
        thread = threading.Thread(target=running.run, args=([listener],), daemon=True)
        thread.start()
        while thread.is_alive() and not running.started:
            thread.join(TICK)
        try:
            yield server
        finally:
            running.should_exit = True
            thread.join()


class _Uvicorn(uvicorn.Server):
    """uvicorn that stops at once, whatever its clients are doing."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 - as uvicorn's own, at a shorter tick
            await asyncio.sleep(TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # Streams end by themselves now; who still sleeps is cancelled.
        answers = asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(answers, GRACE)


def _listening_socket(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "that cannot be the name of a host") from None
    return socket.create_server(address[:2], family=family)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
