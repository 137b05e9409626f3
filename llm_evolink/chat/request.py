"""An llm.Prompt as a request of the document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import llm
from llm.parts import AttachmentPart, Message, TextPart, ToolCallPart, ToolResultPart

from generated_client import models

from ..constants import METADATA_KEY
from ..errors import InvalidRequestError
from .llm_private import replace_messages


def build_request(
    prompt: llm.Prompt, conversation: Any, *, stream: bool
) -> models.ChatCompletionQuickRequest:
    """Return the request for the prompt; conversation is the prompt's llm conversation, or None.

    Raises InvalidRequestError for a prompt that cannot be sent.
    """
    model: Any = prompt.model
    if model.removed:
        reason = (
            "was removed; add it again"
            if model.added
            else "is no longer in EvoLink's document; to use it all the same, add it"
        )
        raise InvalidRequestError(
            f"{model.model_id} {reason} with: llm evolink models add {model.api_name}"
        )
    request = models.ChatCompletionQuickRequest(
        model=model.api_name, messages=build_messages(prompt)
    )
    if not model.attachment_types and any(_has_image(message) for message in request.messages):
        raise InvalidRequestError(
            f"{model.model_id} was added with --no-images: it takes no attachments"
        )
    if stream:
        request.stream_options = models.StreamOptions(include_usage=True)
    if prompt.tools:
        request.tools = [_tool(tool) for tool in prompt.tools]
    _set_options(request, prompt.options)
    schema = schema_of(prompt, conversation)
    if schema:
        request.response_format = _schema_format(schema)
    return request


def build_messages(prompt: llm.Prompt) -> list[models.MessageSimple]:
    """Return the messages of the prompt, its history included.

    Makes the prompt's own system prompt that of prompt.messages, which llm logs. Raises
    InvalidRequestError for an empty prompt, and for an image that cannot be sent.
    """
    _replace_system(prompt)
    messages = _merge_tool_messages(prompt.messages)
    paired = _paired(messages)
    built = [each for message in messages for each in _messages(message, paired)]
    if all(message.role == "system" for message in built):
        raise InvalidRequestError("The prompt is empty: there is nothing to send")
    return built


def _has_image(message: models.MessageSimple) -> bool:
    content = message.content
    return isinstance(content, list) and any(isinstance(part, models.ImagePart) for part in content)


def _replace_system(prompt: llm.Prompt) -> None:
    """Replace the system prompt of the history by the prompt's own, if it has one.

    llm logs prompt.messages and continues from them, so they must be what is sent.
    """
    messages = prompt.messages
    if prompt.system and messages[:1] != [llm.system(prompt.system)]:
        rest = messages[1:] if messages and messages[0].role == "system" else messages
        replace_messages(prompt, [llm.system(prompt.system), *rest])


def _merge_tool_messages(messages: list[Message]) -> list[Message]:
    """Return the messages with consecutive tool messages merged.

    Images from the assistant become a tool message after it: of a tool message, _messages() puts
    all but the results into a user message, since only a user message can hold images.
    """
    joined: list[Message] = []
    for message in messages:
        if message.role == "tool" and joined and joined[-1].role == "tool":
            joined[-1] = Message("tool", [*joined[-1].parts, *message.parts])
        else:
            joined.append(message)
        images = [part for part in message.parts if isinstance(part, AttachmentPart)]
        if images and message.role == "assistant":
            joined.append(Message("tool", [*images]))
    return joined


def _paired(messages: list[Message]) -> set[int]:
    """Return id() of each tool call with EvoLink's metadata that has a result, and of the result.

    Other calls and results are sent as text: Gemini 3 refuses a call without signature or result.
    """
    paired: set[int] = set()
    calls: dict[str | None, ToolCallPart] = {}
    for message in messages:
        if message.role == "assistant":
            calls = {
                part.tool_call_id: part
                for part in message.parts
                if isinstance(part, ToolCallPart) and METADATA_KEY in (part.provider_metadata or {})
            }
        for part in message.parts:
            if isinstance(part, ToolResultPart) and part.tool_call_id in calls:
                paired |= {id(part), id(calls.pop(part.tool_call_id))}
    return paired


def _messages(message: Message, paired: set[int]) -> Iterator[models.MessageSimple]:
    """Yield the request messages for a message of llm, one for each tool result."""
    if message.role == "assistant":
        yield from _assistant_message(message, paired)
        return
    content: list[str | models.ImagePart] = []
    for part in message.parts:
        if isinstance(part, TextPart) and part.text.strip():
            content.append(part.text)
        elif isinstance(part, AttachmentPart) and part.attachment:
            content.append(_image_part(part.attachment))
        elif isinstance(part, ToolResultPart) and not part.server_executed:
            if id(part) in paired:
                answered = part.tool_call_id or ""
                yield models.MessageSimple(role="tool", content=part.output, tool_call_id=answered)
            else:
                content.append(f"[{part.name} returned: {part.output}]")
            content += map(_image_part, part.attachments)
    role: models.MessageSimpleRole = "system" if message.role == "system" else "user"
    if len(content) == 1 and isinstance(content[0], str):
        yield models.MessageSimple(role=role, content=content[0])
    elif content:
        yield models.MessageSimple(role=role, content=[*map(_content_part, content)])


def _image_part(attachment: llm.Attachment) -> models.ImagePart:
    from .images import image_part  # Few prompts have an attachment.

    return image_part(attachment)


def _content_part(part: str | models.ImagePart) -> models.ImagePart | models.TextPart:
    return models.TextPart(type_="text", text=part) if isinstance(part, str) else part


def _assistant_message(message: Message, paired: set[int]) -> Iterator[models.MessageSimple]:
    """Yield the message of the model; reasoning is not sent back, nor what a server executed."""
    text = ""
    calls = []
    metadata: dict[str, Any] = {}
    for part in message.parts:
        if isinstance(part, TextPart):
            text += part.text
            metadata.update(_sent_back((part.provider_metadata or {}).get(METADATA_KEY)))
        elif isinstance(part, ToolCallPart) and id(part) in paired:
            calls.append(_tool_call(part))
        elif isinstance(part, ToolCallPart) and not part.server_executed:
            arguments = json.dumps(part.arguments, ensure_ascii=False)
            text = "\n".join(filter(None, [text, f"[called {part.name}({arguments})]"]))
    if text or calls:
        built = models.MessageSimple(role="assistant", content=text or None)
        built.additional_properties = metadata
        if calls:
            built.tool_calls = calls
        yield built


def _tool_call(part: ToolCallPart) -> models.ToolCall:
    """Return the call with its thought signature and the like."""
    unknown = (part.provider_metadata or {})[METADATA_KEY]
    arguments = json.dumps(part.arguments, ensure_ascii=False)
    function = models.FunctionCall(name=part.name, arguments=arguments)
    function.additional_properties = _sent_back(unknown.get("function"))
    call = models.ToolCall(id=part.tool_call_id or "", type_="function", function=function)
    call.additional_properties = _sent_back(unknown)
    return call


def _sent_back(unknown: Any) -> dict[str, Any]:
    """Return the unknown fields of a reply that are sent back; strict servers refuse others."""
    fields = unknown if isinstance(unknown, dict) else {}
    return {
        name: value
        for name, value in fields.items()
        if name == "extra_content" or "signature" in name.lower()
    }


def _tool(tool: Any) -> Any:
    function = models.FunctionDefinition(
        name=tool.name, parameters=models.FunctionDefinitionParameters.from_dict(tool.input_schema)
    )
    if tool.description:
        function.description = tool.description
    return models.Tool(type_="function", function=function)


def _set_options(request: models.ChatCompletionQuickRequest, options: llm.Options) -> None:
    """Set the options that were given; most have the name of their request field."""
    given = {name: value for name, value in options if value is not None}
    given.pop("timeout", None)
    extra_body = given.pop("extra_body", {})
    if given.pop("json_object", False):
        request.response_format = models.JsonObjectFormat(type_="json_object")
    for name, value in given.items():
        if hasattr(request, name):
            setattr(request, name, value)
        elif name == "include_thoughts":
            request.additional_properties |= _thinking_config(include_thoughts=value)
        else:  # Its attribute has another name.
            request.additional_properties[name] = value
    if twice := request.additional_properties.keys() & extra_body.keys():
        raise InvalidRequestError(
            f"extra_body cannot hold {min(twice)} beside the option include_thoughts, which sets it"
        )
    request.additional_properties |= extra_body


def _thinking_config(**config: Any) -> dict[str, Any]:
    """Return the request fields of Google's thinking_config.

    The body of the request has a member named extra_body: so do the REST examples of Google's
    page on OpenAI compatibility (ai.google.dev/gemini-api/docs/openai). Its Python examples pass
    extra_body={"extra_body": {"google": …}}, because the openai package merges the value of its
    argument of that name into the body.
    """
    return {"extra_body": {"google": {"thinking_config": config}}}


def schema_of(prompt: llm.Prompt, conversation: Any) -> Any:
    """Return the schema of the answer: the prompt's, or that of the prompt a chain began with.

    llm drops the schema from every round that follows a tool's result.
    """
    if prompt.schema or not prompt.tool_results or conversation is None:
        return prompt.schema
    for response in reversed(conversation.responses):
        if response.prompt.schema or not response.prompt.tool_results:
            return response.prompt.schema
    return None


def _schema_format(schema: dict[str, Any]) -> Any:
    return models.JsonSchemaFormat(
        type_="json_schema",
        json_schema=models.NamedSchema(
            name="output", schema=models.NamedSchemaSchema.from_dict(schema)
        ),
    )
