"""A scripted HTTP/1.1 server on loopback, which sends exactly the bytes that a test says.

def handler(reply: scripted_server.Reply) -> None:
    reply.events({"choices": []}, "[DONE]")

with scripted_server.serve(handler) as server:
    ...  # server.url, server.requests, server.connections

The handler is called for each request; when it returns, the connection waits for the next one. An
error in a handler is raised where the `with` ends; a client that goes away is no error.
"""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import parse_headers
from typing import Any, BinaryIO

from tests.llm_process import TIMEOUT


@dataclass(frozen=True)
class Request:
    """A request as it came; the names of its headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """What the server saw so far."""

    url: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    errors: list[Exception] = field(default_factory=list)
    client_read: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)


class Reply:
    """The answer to one request, written piece by piece."""

    def __init__(self, request: Request, connection: socket.socket, server: Server) -> None:
        self.request = request
        self.stopping = server.stopping
        self._connection = connection
        self._server = server

    @property
    def client_port(self) -> int:
        """Port of the client's end of the connection."""
        port: int = self._connection.getpeername()[1]
        return port

    def send(self, data: bytes | str) -> None:
        """Send these bytes and no other, in a packet of their own."""
        self._connection.sendall(data.encode() if isinstance(data, str) else data)

    def head(self, status: int = 200, **headers: str | int) -> None:
        """Send a status line and headers, named content_type for Content-Type and so on."""
        lines = [f"HTTP/1.1 {status} Scripted"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]))

    def respond(self, status: int = 200, body: Any = b"", **headers: str | int) -> None:
        """Send a whole response: bytes and text as they are, anything else as JSON."""
        content = body.encode() if isinstance(body, str) else body
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        headers = {"content_type": "application/json", **headers}
        self.head(status, content_length=len(content), **headers)
        self.send(content)

    def start(self, status: int = 200, **headers: str | int) -> None:
        """Start a chunked response, an event stream unless content_type says another."""
        headers = {"content_type": "text/event-stream", **headers}
        self.head(status, transfer_encoding="chunked", **headers)

    def chunk(self, *parts: bytes | str, pause: float = 0) -> None:
        """Send each part as a chunk, with so many seconds after it."""
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            self.send(b"%x\r\n%b\r\n" % (len(data), data))
            self.pause(pause)

    def event(self, data: Any) -> None:
        """Send an event as a chunk: text as it is, anything else as JSON."""
        self.chunk(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n")

    def end(self) -> None:
        """End the chunked response."""
        self.send("0\r\n\r\n")

    def events(self, *events: Any) -> None:
        """Send a whole event stream."""
        self.start()
        for event in events:
            self.event(event)
        self.end()

    def pause(self, seconds: float) -> None:
        """Do nothing for so long, or until the server stops."""
        if seconds and self.stopping.wait(seconds):
            raise ConnectionAbortedError

    def cut(self, *, reset: bool = False) -> None:
        """Close the connection, with a reset (RST) or in order (FIN)."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        # At once, though the server's loop still holds the socket.
        socket.close(self._connection.detach())

    def wait_until_read(self) -> None:
        """Wait until the test has set `client_read`: the client has what was sent."""
        assert self._server.client_read.wait(TIMEOUT)

    def closed(self, timeout: float = TIMEOUT) -> bool:
        """Wait for the client to close the connection; False if it did not, or sent something."""
        self._connection.settimeout(timeout)
        try:
            return self._connection.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Handler = Callable[[Reply], None]


@contextmanager
def serve(handler: Handler, *, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve on a free port of 127.0.0.1, over TLS if given a context, until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    scheme = "https" if tls else "http"
    server = Server(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                server.connections += 1
                connections.append(connection)
                threads.append(threading.Thread(target=attend, args=[connection], daemon=True))
                threads[-1].start()

    def attend(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
                connections.append(connection)
            with connection, connection.makefile("rb") as reader:
                while request := _read(reader):
                    server.requests.append(request)
                    try:
                        handler(Reply(request, connection, server))
                    except Exception as error:
                        if not isinstance(error, OSError):
                            server.errors.append(error)
                        return
                    # Read again, a cut TLS connection would be what has its number by now.
                    if connection.fileno() < 0:
                        return

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield server
    finally:
        server.stopping.set()
        server.client_read.set()
        _wake(listener)
        acceptor.join()
        listener.close()
        for connection in connections:
            _wake(connection)
        for thread in threads:
            thread.join()
        for error in server.errors:
            raise error


def _wake(waiting: socket.socket) -> None:
    """End what a thread waits for."""
    with suppress(OSError):
        socket.socket.shutdown(waiting, socket.SHUT_RDWR)


def _read(reader: BinaryIO) -> Request | None:
    """Read a request; None when the client has closed the connection."""
    line = reader.readline().decode()
    if not line:
        return None
    method, path, _ = line.split(" ")
    headers = {name.lower(): value for name, value in parse_headers(reader).items()}
    return Request(method, path, headers, reader.read(int(headers.get("content-length", 0))))
