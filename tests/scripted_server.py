"""A scripted HTTP/1.1 server on loopback, which sends exactly the bytes that a test gives it.

def handler(reply: scripted_server.Reply) -> None:
    reply.events({"choices": []}, "[DONE]")

with scripted_server.serve(handler) as server:
    ...  # server.url, server.requests, server.connections

The handler is called for each request; when it returns, the connection waits for the next one. An
error in a handler is raised where the `with` ends; a client that disconnects is no error.

`in_memory` replaces the network instead: it can time out without a clock.
"""

import json
import os
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from errno import ECONNREFUSED
from http.client import parse_headers
from typing import Any, BinaryIO

import httpx
import pytest

from llm_evolink.connection.bounds import EXCHANGE
from tests.llm_process import TIMEOUT

UNREACHABLE = "http://127.0.0.1:1"  # A server that refuses connections.
REFUSED = str(ConnectionRefusedError(ECONNREFUSED, os.strerror(ECONNREFUSED)))
DONE = "data: [DONE]\n\n"  # The last event of a stream.
STREAM_EVENTS: list[Any] = [
    {"choices": [{"delta": {"content": "hi"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    "[DONE]",
]


@dataclass(frozen=True)
class Request:
    """A received request; the names of its headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A running server, and what it has received so far."""

    url: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    errors: list[Exception] = field(default_factory=list)
    client_read: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)


class Reply:
    """The response to one request, written part by part."""

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
        """Send a complete response: bytes and text as they are, anything else as JSON."""
        content = body.encode() if isinstance(body, str) else body
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        headers = {"content_type": "application/json", **headers}
        self.head(status, content_length=len(content), **headers)
        self.send(content)

    def start(self, status: int = 200, **headers: str | int) -> None:
        """Start a chunked response, an event stream unless content_type is given."""
        headers = {"content_type": "text/event-stream", **headers}
        self.head(status, transfer_encoding="chunked", **headers)

    def chunk(self, *parts: bytes | str, pause: float = 0) -> None:
        """Send each part as a chunk, and pause for these seconds after it."""
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
        """Send a complete event stream."""
        self.start()
        for event in events:
            self.event(event)
        self.end()

    def complete(
        self,
        message: dict[str, Any] | None = None,
        *,
        deltas: list[dict[str, Any]] | None = None,
        finish_reason: str | None = "stop",
        **fields: Any,
    ) -> None:
        """Send a completion with this message, or these deltas of a stream, as the request asks.

        The fields are those beside the choices, such as usage; logprobs go into the choice.
        """
        ending = {"finish_reason": finish_reason}
        if "logprobs" in fields:
            ending["logprobs"] = fields.pop("logprobs")
        if not self.request.json().get("stream"):
            choice = {"index": 0, "message": message, **ending}
            self.respond(200, {"choices": [choice], **fields})
            return
        chunks: list[Any] = [
            {"choices": [{"index": 0, "delta": delta}]} for delta in deltas or [message]
        ]
        chunks[-1]["choices"][0] |= ending
        self.events(*chunks, {"choices": [], **fields}, "[DONE]")

    def pause(self, seconds: float) -> None:
        """Wait for these seconds, or until the server stops."""
        if seconds and self.stopping.wait(seconds):
            raise ConnectionAbortedError

    def cut(self, *, reset: bool = False) -> None:
        """Close the connection, with a reset (RST) or in order (FIN)."""
        if reset:
            linger = struct.pack("ii", 1, 0)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        # Closes the connection now, although the server's loop still has the socket object.
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
                    # A closed TLS connection's file descriptor may be another connection's by now.
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
    """Shut the socket down, which ends a thread's wait for it."""
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


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, handler: Handler) -> Iterator[Server]:
    """Serve with this handler at the URL in EVOLINK_BASE_URL."""
    with serve(handler) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        yield server


# Handlers.


def answer(reply: Reply, text: str = "hi") -> None:
    """Answer with this text."""
    reply.complete({"content": text})


def replying(status: int, body: Any = b"", **headers: str | int) -> Handler:
    """Return a handler that sends this response to each request."""
    return lambda reply: reply.respond(status, body, **headers)


def stream(*parts: bytes | str) -> Handler:
    """Return a handler that sends an event stream, each part a chunk."""

    def handler(reply: Reply) -> None:
        reply.start()
        reply.chunk(*parts)
        reply.end()

    return handler


def event_stream(*events: Any) -> Handler:
    """Return a handler that sends these events: text as it is, anything else as JSON."""
    return lambda reply: reply.events(*events)


def chunk(text: str) -> dict[str, Any]:
    """Return the data of an event with this text."""
    return {"choices": [{"delta": {"content": text}}]}


def event(text: str) -> str:
    """Return an event with this text, its JSON not escaped."""
    return f"data: {json.dumps(chunk(text), ensure_ascii=False)}\n\n"


USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


@dataclass
class Answer:
    """An answer of a Model that is more than a text."""

    text: str = ""
    finish_reason: str = "stop"
    usage: dict[str, Any] | None = field(default_factory=lambda: USAGE)


@dataclass
class Refusal:
    """An error response of a Model."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """Answers prompts in many threads, and records them; `handle` is the handler.

    Attributes:
        respond: Returns the answer to a prompt, given how often it was asked before.
        asked: The prompts in the order in which they came.
        bodies: The requests in that order.
        ports: The client's ports, one for each connection.
    """

    respond: Callable[[str, int], str | Answer | Refusal]
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.asked)

    def handle(self, reply: Reply) -> None:
        if not reply.request.body.endswith(b"}"):
            raise ConnectionAbortedError  # The client was killed while it sent the request.
        body = reply.request.json()
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        with self.lock:
            before = self.asked.count(text)
            self.asked.append(text)
            self.bodies.append(body)
            self.ports.add(reply.client_port)
        answer = self.respond(text, before)
        if isinstance(answer, Refusal):
            error = {"error": {"message": answer.message}}
            reply.respond(answer.status, error, **answer.headers)
            return
        if isinstance(answer, str):
            answer = Answer(answer)
        message = {"content": answer.text}
        ending = answer.finish_reason
        reply.complete(message, finish_reason=ending, id="response", usage=answer.usage)


Page = tuple[int, dict[str, str], bytes]  # Status, headers and body.


class Pages:
    """Answers each path with its page, else with 404; `handle` is the handler."""

    def __init__(self) -> None:
        self.server = Server("")
        self.pages: dict[str, Page] = {}

    @property
    def requested(self) -> list[str]:
        """The paths that were requested so far."""
        return [request.path for request in self.server.requests]

    def put(self, path: str, content: bytes = b"", status: int = 200, **headers: str) -> str:
        """Set the page at the path; headers are named content_type for Content-Type and so on."""
        self.pages[path] = status, headers, content
        return self.url(path)

    def url(self, path: str) -> str:
        return f"{self.server.url}{path}"

    def handle(self, reply: Reply) -> None:
        status, headers, content = self.pages.get(reply.request.path, (404, {}, b""))
        reply.head(status, **{"content_length": len(content), **headers})
        reply.send(content)
        reply.cut()


# Responses without a network.


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response in memory: these parts; one that is an exception is raised."""

    def __init__(self, *parts: bytes | httpx.TransportError) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, Exception):
                raise part
            yield part

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self:
            yield part


def in_memory(
    monkeypatch: pytest.MonkeyPatch, respond: Callable[[httpx.Request], httpx.Response]
) -> list[httpx.Request]:
    """Answer all requests with this function, without a network; return the requests so far.

    A read time-out is a function, or a part of its response's Body, that raises
    httpx.ReadTimeout: it depends on no clock.
    """
    requests: list[httpx.Request] = []

    def handle(_: object, request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return respond(request)

    async def handle_async(_: object, request: httpx.Request) -> httpx.Response:
        return handle(_, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle_async)
    return requests


def time_out(request: httpx.Request) -> httpx.Response:
    """Take the request, and respond with nothing until the read time-out."""
    if exchange := request.extensions.get(EXCHANGE):  # Of the plugin's transport.
        exchange.written_at = time.monotonic()
    raise httpx.ReadTimeout("", request=request)
