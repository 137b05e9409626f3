"""An HTTP/1.1 server on loopback that sends the same prepared bytes for each path.

POST …/small/…   a stream of 3 chunks        POST …/chunks/…    20,000 chunks, 4 KB a write
POST …/packets/… 20,000 chunks, one a write  POST …/large/…     100 MB of text

Usage: python server.py [CERTIFICATE KEY]; prints its port.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import Iterator

CHUNKS = 20_000
LARGE_BYTES = 100_000_000
LARGE_CHUNK = 10_000

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: bench\r\n\r\n"
)


def event(data: object) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"data: {text}\n\n".encode()


def chunk(content: str, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1760032810}
    return event({**head, "model": "gemini-3.5-flash", "choices": [choice], "usage": None})


USAGE = {
    "prompt_tokens": 13,
    "completion_tokens": 1891,
    "total_tokens": 1904,
    "prompt_tokens_details": {"cached_tokens": 0, "text_tokens": 13},
    "completion_tokens_details": {"text_tokens": 411, "reasoning_tokens": 1480},
}
END = (
    chunk("", "stop")
    + event({"id": "chatcmpl-bench", "model": "gemini-3.5-flash", "choices": [], "usage": USAGE})
    + event("[DONE]")
)


def part(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


# Prepared once, so that the cost of a prompt is that of the client.
SMALL = HEAD + part(chunk("Hello") + chunk(" there")) + part(END) + b"0\r\n\r\n"


def parts(path: str) -> Iterator[bytes]:
    """Yield the parts of the response to a path, one for each write."""
    if "/large/" in path:
        yield HEAD
        one = part(chunk("x" * LARGE_CHUNK))
        for _ in range(LARGE_BYTES // LARGE_CHUNK):
            yield one
        yield part(END) + b"0\r\n\r\n"
    elif "/packets/" in path:
        yield HEAD
        one = part(chunk("word "))
        for _ in range(CHUNKS):
            yield one
        yield part(END) + b"0\r\n\r\n"
    elif "/chunks/" in path:
        data = chunk("word ") * CHUNKS + END
        yield HEAD
        for at in range(0, len(data), 4096):
            yield part(data[at : at + 4096])
        yield b"0\r\n\r\n"
    else:
        yield SMALL


async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            path = head.split(b" ", 2)[1].decode()
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            for data in parts(path):
                writer.write(data)
                await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(certificate: list[str]) -> None:
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    server = await asyncio.start_server(attend, "127.0.0.1", 0, ssl=context, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1:]))
