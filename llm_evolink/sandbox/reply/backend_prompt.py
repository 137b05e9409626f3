"""Conversion of a request to the arguments of llm's Model.prompt."""

import base64
from collections.abc import Iterator
from typing import Any

import llm
from llm.parts import AttachmentPart, Message, Part, TextPart, ToolCallPart, ToolResultPart

from .. import json_text
from ..request.messages import text_of
from .choices import BACKEND_METADATA_KEY

LIMITS = ("max_tokens", "max_completion_tokens")
"""Names of the token limit. The backend gets the lower limit, under the name that it has."""

CONVERTED = {"model", "messages", "tools", "tool_choice", "response_format", "stream", "n", *LIMITS}
"""Fields that are converted. Any other is an option, if the backend has one of its name."""


def prompt_arguments(fields: dict[str, Any], model: Any) -> dict[str, Any]:
    """Return the arguments of model.prompt for a valid request, except stream."""
    messages = list(_messages(fields["messages"]))
    arguments: dict[str, Any] = {
        "messages": messages,
        "tools": list(_tools(fields)),
        "schema": _schema(fields),
        "options": _options(fields, model),
    }
    # Some plugins ignore messages and read what llm's command line sets: prompt, system.
    if messages[0].role == "system":
        arguments["system"] = text_of(fields["messages"][0])
    if messages[-1].role == "user":
        last = messages.pop()
        arguments["prompt"] = text_of(fields["messages"][-1])
        arguments["attachments"] = [
            part.attachment for part in last.parts if isinstance(part, AttachmentPart)
        ]
    return arguments


def _messages(messages: list[dict[str, Any]]) -> Iterator[Message]:
    names: dict[str, str] = {}
    for message in messages:
        parts = list(_parts(message))
        if message["role"] == "assistant":
            for call in message.get("tool_calls", ()):
                names[call["id"]] = call["function"]["name"]
                parts.append(_tool_call(call))
        elif message["role"] == "tool":
            call_id = message["tool_call_id"]
            parts = [ToolResultPart(names[call_id], text_of(message), call_id)]
        yield Message(message["role"], parts)


def _parts(message: dict[str, Any]) -> Iterator[Part]:
    if isinstance(message["content"], list):
        for part in message["content"]:
            if part["type"] == "text":
                yield TextPart(part["text"])
            else:
                yield AttachmentPart(_attachment(part["image_url"]["url"]))
    elif message["content"]:
        yield TextPart(message["content"])


def _attachment(url: str) -> llm.Attachment:
    if not url.startswith("data:"):
        return llm.Attachment(url=url)
    head, _, encoded = url.partition(",")
    media_type = head.removeprefix("data:").partition(";")[0].replace("/jpg", "/jpeg")
    return llm.Attachment(type=media_type, content=base64.b64decode(encoded))


def _tool_call(call: dict[str, Any]) -> ToolCallPart:
    function = call["function"]
    extra = call.get("extra_content")
    return ToolCallPart(
        function["name"],
        json_text.read(function["arguments"]),
        call["id"],
        provider_metadata=extra.get(BACKEND_METADATA_KEY) if isinstance(extra, dict) else None,
    )


def _tools(fields: dict[str, Any]) -> Iterator[llm.Tool]:
    choice = fields.get("tool_choice")
    for tool in fields.get("tools", ()):
        function = tool["function"]
        forced = not isinstance(choice, dict) or choice["function"]["name"] == function["name"]
        if choice != "none" and forced:
            yield llm.Tool(
                function["name"], function.get("description"), function.get("parameters", {})
            )


def _schema(fields: dict[str, Any]) -> dict[str, Any] | None:
    schema = fields.get("response_format", {}).get("json_schema", {}).get("schema")
    return schema or None


def _options(fields: dict[str, Any], model: Any) -> dict[str, Any]:
    known = model.Options.model_fields
    options = {name: fields[name] for name in fields if name in known and name not in CONVERTED}
    if "extra_body" in options:  # The option's value is merged into the backend's request.
        options["extra_body"] = {"extra_body": options["extra_body"]}
    limits = [fields[name] for name in LIMITS if name in fields]
    names = [name for name in LIMITS if name in known]
    if limits and names:
        options[names[0]] = min(limits)
    if "json_object" in known and fields.get("response_format") == {"type": "json_object"}:
        options["json_object"] = True
    return options
