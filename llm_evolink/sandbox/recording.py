"""A file of the requests as they came, a line of JSON each, with nothing that could be a key."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

from .json_text import encode

HEADERS = (
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
)
"""The headers that are kept: a key could be in any other."""

REMOVED = b"[key]"
"""What stands for the request's token, should it be anywhere else than where it belongs."""

SHORTEST_KEY = 8
"""Characters that a token has at least to be a key, and not a word such as any may write."""

Record = Callable[[Scope], None]


@contextmanager
def recording(path: str | Path | None, log: Callable[[str], None]) -> Iterator[Record]:
    """Open the file for the block, which is given what appends a request.

    Without a path nothing is written. A line that cannot be written is told to log. Raises OSError
    for a file that cannot be opened.
    """
    if path is None:
        yield lambda scope: None
        return
    # Unbuffered: a line is there at once, and nothing is left to be written at the end.
    with open(path, "ab", buffering=0) as file:

        def record(scope: Scope) -> None:
            try:
                file.write(_line(scope) + b"\n")
            except OSError as error:
                log(f"Not recorded: {error.strerror}")
            except RecursionError:
                log("Not recorded: nested too deeply")

        yield record


def _line(scope: Scope) -> bytes:
    headers = Headers(scope=scope)
    state = scope["state"]
    entry = {
        "time": state["time"].isoformat(timespec="milliseconds"),
        "method": scope["method"],
        "path": scope["raw_path"].decode("ascii"),
        "headers": {name: headers[name] for name in HEADERS if name in headers},
        "body": state.get("body"),
        "status": state["status"],
    }
    token = headers.get("authorization", "").rpartition(" ")[2]
    line = encode(entry)
    return line.replace(encode(token)[1:-1], REMOVED) if len(token) >= SHORTEST_KEY else line
