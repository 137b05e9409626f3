"""An llm.Prompt as a request of the document."""

import json
from collections.abc import Iterator
from typing import Any

import llm
from llm.parts import AttachmentPart, Message, TextPart, ToolCallPart, ToolResultPart

from generated_client.models.chat_completion_quick_request import ChatCompletionQuickRequest
from generated_client.models.function_call import FunctionCall
from generated_client.models.message_simple import MessageSimple
from generated_client.models.message_simple_role import MessageSimpleRole
from generated_client.models.stream_options import StreamOptions
from generated_client.models.text_part import TextPart as TextContent
from generated_client.models.tool_call import ToolCall

from .errors import InvalidRequestError
from .images import image_part

METADATA = "evolink"
"""The key of our provider_metadata, which holds fields of a reply that have to come back."""


def build_request(
    prompt: llm.Prompt, conversation: Any, *, stream: bool
) -> ChatCompletionQuickRequest:
    """Return the request for the prompt; conversation is the prompt's llm conversation, or None.

    Raises InvalidRequestError for a prompt that cannot be sent.
    """
    request = ChatCompletionQuickRequest(messages=build_messages(prompt))
    if stream:
        request.stream_options = StreamOptions(include_usage=True)
    if prompt.tools:
        request.tools = [_tool(tool) for tool in prompt.tools]
    _set_options(request, prompt.options)
    schema = _schema(prompt, conversation)
    if schema:
        request.response_format = _schema_format(schema)
    return request


def build_messages(prompt: llm.Prompt) -> list[MessageSimple]:
    """Return the messages of the prompt, its history included."""
    messages = list(prompt.messages)
    if prompt.system:
        # A new system prompt beside a history stands in prompt.system alone: it replaces the old.
        if messages and messages[0].role == "system":
            del messages[0]
        messages.insert(0, llm.system(prompt.system))
    signed = {
        part.tool_call_id
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart) and _is_ours(part)
    }
    built = [each for message in messages for each in _messages(message, signed)]
    if all(message.role == "system" for message in built):
        raise InvalidRequestError("The prompt is empty: there is nothing to send")
    return built


def _is_ours(call: ToolCallPart) -> bool:
    """Return whether EvoLink made this call, so that it has the signature it needs."""
    return METADATA in (call.provider_metadata or {})


def _messages(message: Message, signed: set[str | None]) -> Iterator[MessageSimple]:
    """Yield the request's messages for one of llm's: a tool message holds one result, say."""
    if message.role == "assistant":
        yield from _assistant_message(message)
        return
    results = [part for part in message.parts if isinstance(part, ToolResultPart)]
    told = ""
    for result in results:
        if result.server_executed:
            continue
        if result.tool_call_id in signed:
            yield MessageSimple(
                role="tool", content=result.output, tool_call_id=result.tool_call_id or ""
            )
        else:
            told += f"[{result.name} returned: {result.output}]\n"
    text = told + _text(message)
    attachments = [a for result in results for a in result.attachments]
    attachments += [
        part.attachment
        for part in message.parts
        if isinstance(part, AttachmentPart) and part.attachment
    ]
    role: MessageSimpleRole = "system" if message.role == "system" else "user"
    if attachments:
        texts = [TextContent(type_="text", text=text)] if text else []
        yield MessageSimple(role=role, content=[*texts, *map(image_part, attachments)])
    elif text.strip():
        yield MessageSimple(role=role, content=text)


def _assistant_message(message: Message) -> Iterator[MessageSimple]:
    """Yield the message of the model; reasoning is not sent back, nor what a server executed.

    A call that another model made has no signature, and Gemini 3 may refuse it: it goes as text.
    """
    calls = []
    text = ""
    metadata: dict[str, Any] = {}
    for part in message.parts:
        if isinstance(part, TextPart):
            text += part.text
            metadata.update((part.provider_metadata or {}).get(METADATA) or {})
        elif isinstance(part, ToolCallPart) and not part.server_executed:
            if _is_ours(part):
                calls.append(_tool_call(part))
            else:
                text += f"[called {part.name}({json.dumps(part.arguments, ensure_ascii=False)})]\n"
    if not (text or calls):
        return
    built = MessageSimple(role="assistant", content=text or None)
    built.additional_properties = metadata
    if calls:
        built.tool_calls = calls
    yield built


def _tool_call(part: ToolCallPart) -> ToolCall:
    """Return the call with every field that it came with."""
    unknown = dict((part.provider_metadata or {})[METADATA])
    function = FunctionCall(
        name=part.name, arguments=json.dumps(part.arguments, ensure_ascii=False)
    )
    function.additional_properties = unknown.pop("function", {})
    call = ToolCall(id=part.tool_call_id or "", type_="function", function=function)
    call.additional_properties = unknown
    return call


def _text(message: Message) -> str:
    return "".join(part.text for part in message.parts if isinstance(part, TextPart))


def _tool(tool: Any) -> Any:
    from generated_client.models.function_definition import FunctionDefinition
    from generated_client.models.function_definition_parameters import FunctionDefinitionParameters
    from generated_client.models.tool import Tool

    function = FunctionDefinition(
        name=tool.name, parameters=FunctionDefinitionParameters.from_dict(tool.input_schema)
    )
    if tool.description:
        function.description = tool.description
    return Tool(type_="function", function=function)


def _set_options(request: ChatCompletionQuickRequest, options: llm.Options) -> None:
    """Set the options that were given; each has the name of its request field."""
    for name, value in options:
        if value is None:
            continue
        if name == "json_object":
            if value:
                from generated_client.models.json_object_format import JsonObjectFormat

                request.response_format = JsonObjectFormat(type_="json_object")
        else:
            setattr(request, name, value)


def _schema(prompt: llm.Prompt, conversation: Any) -> Any:
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
    from generated_client.models.json_schema_format import JsonSchemaFormat
    from generated_client.models.named_schema import NamedSchema
    from generated_client.models.named_schema_schema import NamedSchemaSchema

    return JsonSchemaFormat(
        type_="json_schema",
        json_schema=NamedSchema(name="output", schema=NamedSchemaSchema.from_dict(schema)),
    )
