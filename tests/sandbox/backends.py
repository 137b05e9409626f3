"""A model of llm's for the sandbox to stand on: it says what it is told to."""

from collections.abc import Iterator
from typing import Any

import llm
from llm.parts import StreamEvent


class Scripted(llm.Model):
    """Yields the script; calls what is callable in it with the response."""

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
        self.finished = False

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
            self.finished = True


class Plain(llm.Model):
    """As simple as a plugin's model can be."""

    model_id = "plain"

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: Any
    ) -> Iterator[str]:
        yield f"You asked: {prompt.prompt}"


@llm.hookimpl
def register_models(register: Any) -> None:
    register(Plain())
