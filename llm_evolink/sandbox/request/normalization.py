"""A request without the fields that the OpenAI format lets clients send empty."""

from typing import Any

MAX_VALUES = 100_000
"""Maximum number of JSON values in a request; checking it takes time for each."""

CLIENT_DATA = {"parameters", "schema", "extra_content", "extra_body"}
"""Fields whose content belongs to the client or the model: null can have a meaning there."""


def normalize(request: dict[str, Any]) -> dict[str, Any]:
    """Return a copy without null fields and without empty tools and tool_calls.

    An assistant message with tool calls gets its content back as null, where it had none.
    """
    fields: dict[str, Any] = _without_empty(request)
    messages = fields.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and "tool_calls" in message:
            message.setdefault("content", None)
    return fields


def _without_empty(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: member if name in CLIENT_DATA else _without_empty(member)
        for name, member in value.items()
        if member is not None and not (name in ("tools", "tool_calls") and member == [])
    }


def has_many_values(value: Any) -> bool:
    """Return whether the JSON value holds more than MAX_VALUES values."""
    count = 1
    containers = [value]
    while containers and count <= MAX_VALUES:
        container = containers.pop()
        members = container.values() if isinstance(container, dict) else container
        count += len(container)
        containers += [member for member in members if isinstance(member, dict | list)]
    return count > MAX_VALUES
