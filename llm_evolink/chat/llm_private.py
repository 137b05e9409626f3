"""All use of private attributes of llm: a release of llm that changes them breaks this module."""

from typing import Any

import llm
from llm.parts import Message


def has_events(response: Any) -> bool:
    """Return whether llm recorded an event of the response."""
    return bool(response._stream_events)


def printed_reasoning_last(response: Any) -> bool:
    """Return whether the last text that llm recorded, and may have printed, is reasoning."""
    types = [event.type for event in response._stream_events if event.chunk]
    return types[-1:] == ["reasoning"]


def answer_text(response: Any) -> str:
    """Return the text that llm recorded of the answer."""
    return "".join(event.chunk for event in response._stream_events if event.type == "text")


def replace_messages(prompt: llm.Prompt, messages: list[Message]) -> None:
    """Make these the messages of the prompt, which llm logs and continues from."""
    prompt._explicit_messages = messages
