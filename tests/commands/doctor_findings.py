"""What the tests of `llm evolink doctor` share."""

from collections.abc import Callable
from pathlib import Path

from llm_evolink.commands.doctor import checks
from tests.scripted_server import Reply

UNREACHABLE = "http://127.0.0.1:1"
"""URL of a server that refuses connections."""

REFUSED = {"error": {"message": "messages is too short", "type": "invalid_request_error"}}
"""The body of a refusal that shows that the key is accepted."""


def findings(check: str) -> list[tuple[str, str]]:
    """Run doctor's checks; return status and message of each finding of this check."""
    return [(each.status, each.message) for each in checks.examine() if each.check == check]


def replying(status: int, body: object = b"", **headers: str) -> Callable[[Reply], None]:
    """Return a handler that answers every request with this response."""
    return lambda reply: reply.respond(status, body, **headers)


def store(user_path: Path, name: str, content: str) -> None:
    """Write a file in llm's user folder."""
    user_path.mkdir(exist_ok=True)
    (user_path / name).write_text(content)
