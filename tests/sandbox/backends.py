"""llm models as backends of the sandbox, and calls of a sandbox with one."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import llm
from llm.parts import StreamEvent

from llm_evolink.sandbox import serve
from tests.four_ways import chunks_of, client_of, post_to, tool


class Scripted(llm.Model):
    """Yields the items of the script; an item that is callable is called with the response."""

    model_id = "scripted"
    can_stream = True
    supports_tools = True
    supports_schema = True
    attachment_types = frozenset({"image/jpeg", "image/png"})

    class Options(llm.Options):
        temperature: float | None = None
        max_tokens: int | None = None
        json_object: bool | None = None

    def __init__(self, *script: Any) -> None:
        self.script = script
        self.prompts: list[llm.Prompt] = []
        self.finished = threading.Event()

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: Any
    ) -> Iterator[str | StreamEvent]:
        self.prompts.append(prompt)
        self.stream = stream
        try:
            for step in self.script:
                if callable(step):
                    step(response)
                else:
                    yield step
        finally:
            self.finished.set()


class Plain(llm.Model):
    """A minimal model: it has no options, no tools and no streaming."""

    model_id = "plain"

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: Any
    ) -> Iterator[str]:
        yield f"You asked: {prompt.prompt}"


@llm.hookimpl
def register_models(register: Any) -> None:
    register(Plain())


@contextmanager
def sandbox(model, **options):
    """Return a client of a sandbox with this backend; client.log has the lines of its log."""
    lines = []
    with serve(backend=model, log=lines.append, **options) as server, client_of(server) as client:
        client.log = lines
        yield client


def ask(model, messages="hello", **fields):
    with sandbox(model) as client:
        return post_to(client, messages, **fields)


def prompt_of(messages="hello", **fields):
    """Return the prompt that the backend gets for a request."""
    model = Scripted("Hi")
    response = ask(model, messages, **fields)
    assert response.status_code == 200, response.text
    (prompt,) = model.prompts
    return prompt


def deltas_of(response):
    return [choice["delta"] for chunk in chunks_of(response) for choice in chunk["choices"]]


def reasoning(text, **fields):
    return StreamEvent(type="reasoning", chunk=text, **fields)


def usage(**counts):
    return lambda response: response.set_usage(**counts)


def calling(name, call_id=None, **arguments):
    return lambda response: response.add_tool_call(llm.ToolCall(name, arguments, call_id))


def fail(error):
    def step(_):
        raise error

    return step


ADD = tool("add", type="object", properties={"a": {"type": "integer"}})


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\3\0\0\0\2" + b"\0" * 54


DATA = base64.b64encode(PNG).decode()


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}
