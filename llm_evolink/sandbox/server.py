"""The server: uvicorn in a thread, until a with block ends."""

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
from .hosts import HostCheck
from .recording import recording
from .reply.backend import Model
from .reply.fixed import FixedReplies
from .reply.source import reply_source
from .route import Completions, ReceivedRequest

TICK = 0.005
"""Seconds between two checks whether the server has started, or is to stop."""

GRACE = 0.05
"""Seconds for a request to notice that its client is gone."""

STOP_TIMEOUT = 5
"""Seconds for the server's thread to end. A request that is still computed then is abandoned."""


@dataclass(frozen=True)
class Server:
    """A running sandbox.

    Attributes:
        url: Its URL, http://HOST:PORT, with the port that it listens on.
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
    keep_requests: bool = True,
    models: Iterable[str] = (),
    log: Callable[[str], None] = lambda line: None,
) -> Iterator[Server]:
    """Run the sandbox in a thread until the block ends; pending requests are dropped.

    Args:
        host: Name or IP address to listen on.
        port: Port to listen on, 0 to 65535; 0 for a free one.
        fail: Pairs of status and count, in order: that status answers the next count requests.
        latency: Seconds before each answer, 0 to 86400.
        chunk_delay: Seconds after each event of a stream, 0 to 86400.
        cut_after: Number of chunks after which a stream's connection is dropped; None for never.
        garble: Whether the third chunk of a stream is invalid JSON.
        replies: Pairs of a regular expression, searched in the last user message, and the text
            to reply with; the first that matches is taken.
        backend: A model of llm that answers what no reply matches; None for generated text.
        record: A file to append each request to, as a line of JSON without keys.
        keep_requests: Whether requests are kept in Server.requests, which takes memory.
        models: Names of models to accept beside those of the document.
        log: Called, in the server's thread, with a line for each answered request.

    Raises:
        OSError: If it cannot listen there: a port in use, a host that is not of this machine.
            With a filename, if it cannot write the record.
        ValueError: If fail has a status that the document does not have, replies an invalid
            regular expression, latency or chunk_delay a number out of range.
    """
    faults = Faults(tuple(fail), latency, chunk_delay, cut_after, garble)
    fixed = FixedReplies(replies)
    with recording(record, log) as recorder, _listening_socket(host, port) as listener:
        server = Server(_url(listener))
        source = reply_source(fixed, backend, server.url)
        requests = server.requests if keep_requests else None
        completions = Completions(source, faults, requests, tuple(models))
        hosts = HostCheck(host, listener.getsockname()[0])
        config = uvicorn.Config(
            build_app(completions, hosts, log, recorder),
            http="h11",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            # At a lower level, it logs a traceback for each connection that is cut.
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
            thread.join(STOP_TIMEOUT)


class _Uvicorn(uvicorn.Server):
    """uvicorn that stops at once and drops its connections."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 - as uvicorn's own, at a shorter tick
            await asyncio.sleep(TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            with suppress(ValueError):  # Its socket is closed: the thread took longer to end.
                server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # Streams end by themselves now; a request that is delayed is cancelled.
        requests = asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(requests, GRACE)


def _listening_socket(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a valid host name") from None
    listener = socket.create_server(address[:2], family=family)
    # Accepted connections inherit it. Without it, the body of a response is delayed by 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
