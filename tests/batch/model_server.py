"""A model server for batches, which answers each prompt as a test sets it."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests import scripted_server

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


@dataclass
class Answer:
    """An answer that is not just a text."""

    text: str = ""
    finish_reason: str = "stop"
    usage: dict[str, Any] | None = field(default_factory=lambda: USAGE)


@dataclass
class Refusal:
    """An error response."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Model:
    """Answers prompts, and remembers them.

    Attributes:
        respond: Returns the answer to a prompt, given how often it was asked before.
        asked: The prompts in the order in which they came.
        bodies: The requests in that order.
    """

    respond: Callable[[str, int], str | Answer | Refusal]
    asked: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    connections: Callable[[], int] = lambda: 0

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.asked)

    def handle(self, reply: scripted_server.Reply) -> None:
        if not reply.request.body.endswith(b"}"):
            raise ConnectionAbortedError  # The client was killed while it sent the request.
        body = reply.request.json()
        content = body["messages"][-1]["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        with self.lock:
            before = self.asked.count(text)
            self.asked.append(text)
            self.bodies.append(body)
        answer = self.respond(text, before)
        if isinstance(answer, Refusal):
            error = {"error": {"message": answer.message}}
            reply.respond(answer.status, error, **answer.headers)
            return
        if isinstance(answer, str):
            answer = Answer(answer)
        if not body.get("stream"):
            choice = {"message": {"content": answer.text}, "finish_reason": answer.finish_reason}
            reply.respond(200, {"id": "response", "choices": [choice], "usage": answer.usage})
            return
        reply.events(
            {"id": "response", "choices": [{"index": 0, "delta": {"content": answer.text}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish_reason}]},
            {"choices": [], "usage": answer.usage},
            "[DONE]",
        )
