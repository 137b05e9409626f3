"""Reading the messages of a request."""

from typing import Any

Message = dict[str, Any]


def texts_of(message: Message) -> list[str]:
    """Return the texts of a message, one for each text part."""
    content = message["content"]
    if isinstance(content, list):
        return [part["text"] for part in content if part["type"] == "text"]
    return [content] if content else []


def text_of(message: Message) -> str:
    """Return the text of a message, its text parts joined by line breaks."""
    return "\n".join(texts_of(message))


def last_turn(messages: list[Message]) -> tuple[str, list[Message]]:
    """Return the text of the last user message, and the messages after it.

    Without a user message these are "" and all messages.
    """
    for at in reversed(range(len(messages))):
        if messages[at]["role"] == "user":
            return text_of(messages[at]), messages[at + 1 :]
    return "", messages


def tool_results(messages: list[Message]) -> list[tuple[str, str]]:
    """Return name and result of each tool message after the last assistant message."""
    results: list[tuple[str, str]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message["role"] == "assistant":
            calls = message.get("tool_calls", ())
            names = {call["id"]: call["function"]["name"] for call in calls}
            results = []
        elif message["role"] == "tool":
            results.append((names[message["tool_call_id"]], text_of(message)))
    return results
