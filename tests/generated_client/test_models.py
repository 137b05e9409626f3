"""Models keep all of the JSON that they are made from."""

import copy
import json
import pickle
from typing import Any

import pytest

from generated_client import request_message
from generated_client.models import (
    AssistantMessage,
    ChatCompletionChunk,
    ChatCompletionQuickRequest,
    ChatCompletionResponse,
    ErrorResponse,
    MessageSimple,
    ToolCall,
    ToolCallDelta,
)
from llm_evolink.sandbox.document import document

TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "Seoul"}', "strict": None},
    "extra_content": {"google": {"thought_signature": "c2lnbmF0dXJl"}},
}

REQUEST = {
    "model": "gemini-3.5-flash",
    "messages": [
        {"role": "system", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 100,
    "max_completion_tokens": 200,
    "temperature": 0.5,
    "top_p": 0.9,
    "frequency_penalty": -1.5,
    "presence_penalty": 1.5,
    "stop": ["a", "b"],
    "n": 2,
    "seed": 2147483647,
    "logprobs": True,
    "top_logprobs": 3,
    "reasoning_effort": "low",
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
                "strict": True,
            },
        }
    ],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "weather", "schema": {"type": "object"}, "strict": True},
    },
    "a_new_parameter": {"deep": [1, None]},
}

USAGE = {
    "prompt_tokens": 13,
    "completion_tokens": 1891,
    "total_tokens": 1904,
    "prompt_tokens_details": {"cached_tokens": 1, "text_tokens": 12, "new_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1000, "text_tokens": 891},
    "input_tokens": 0,
    "output_tokens": 0,
    "input_tokens_details": None,
    "cost": 0.5,
}

RESPONSE = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1760032810,
    "model": "gemini-3.5-flash",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm",
                "tool_calls": [TOOL_CALL],
                "refusal": None,
            },
            "finish_reason": "tool_calls",
            "logprobs": None,
        }
    ],
    "usage": USAGE,
    "service_tier": "default",
}

CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1760032810,
    "model": "gemini-3.5-flash",
    "choices": [
        {
            "index": 0,
            "delta": {
                "role": "assistant",
                "content": "Hi",
                "reasoning_content": "Hm",
                "tool_calls": [{"index": 0, **TOOL_CALL}],
                "new": 1,
            },
            "finish_reason": None,
            "logprobs": None,
        }
    ],
    "usage": {**USAGE, "input_tokens_details": {"cached_tokens": 1}},
    "error": {"message": "No"},
    "obfuscation": "x",
}

ERROR = {
    "error": {
        "code": 413,
        "message": "Too large",
        "type": "request_too_large_error",
        "param": "content",
        "fallback_suggestion": "compress image to under 10MB",
        "new": None,
    },
    "request_id": "abc",
}


def example(schema: dict[str, Any]) -> Any:
    """Return a value of a field of the document."""
    if "enum" in schema:
        return schema["enum"][0]
    return {"string": "a", "object": {}, "array": [], "boolean": True}.get(schema.get("type"), 1)


# Fields that the document has besides, after a change of EvoLink's.
SCHEMA = document()["components"]["schemas"]["ChatCompletionQuickRequest"]
REQUEST |= {
    name: example(schema) for name, schema in SCHEMA["properties"].items() if name not in REQUEST
}


@pytest.mark.parametrize(
    ("model", "data"),
    [
        pytest.param(ChatCompletionQuickRequest, REQUEST, id="request"),
        *(
            pytest.param(ChatCompletionQuickRequest, {**REQUEST, name: value}, id=f"{name} {value}")
            for name, value in {
                "stop": "a",
                "tool_choice": "required",
                "response_format": {"type": "json_object"},
            }.items()
        ),
        pytest.param(
            ChatCompletionQuickRequest, {**REQUEST, "response_format": {"type": "text"}}, id="text"
        ),
        pytest.param(ChatCompletionResponse, RESPONSE, id="response"),
        pytest.param(ChatCompletionChunk, CHUNK, id="chunk"),
        pytest.param(ErrorResponse, ERROR, id="error"),
        pytest.param(ToolCall, TOOL_CALL, id="tool call"),
        pytest.param(ToolCallDelta, TOOL_CALL, id="tool call delta"),
    ],
)
def test_round_trip(model: Any, data: dict[str, Any]) -> None:
    before = json.dumps(data)
    value = model.from_dict(data)
    assert value.to_dict() == data
    assert model.from_dict(value.to_dict()) == value
    assert json.dumps(data) == before


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {"data": "x"}}],
        [{"type": "image_url", "image_url": "http://x"}],
        ["a"],
        [None],
        {"parts": []},
        5,
    ],
    ids=str,
)
def test_content_that_the_document_lacks_is_sent_as_it_is(content: Any) -> None:
    data = {"model": "m", "messages": [{"role": "user", "content": content}]}
    assert ChatCompletionQuickRequest.from_dict(data).to_dict() == data


def test_the_round_trip_has_every_parameter_of_the_request() -> None:
    request = ChatCompletionQuickRequest.from_dict(REQUEST)
    assert request.additional_keys == ["a_new_parameter"]
    assert set(request.__slots__) - {"additional_properties", "__weakref__"} == (
        set(REQUEST) - {"a_new_parameter"}
    )


def test_a_tool_call_is_sent_back_unchanged() -> None:
    response = ChatCompletionResponse.from_dict(RESPONSE)
    assert response.choices
    message = response.choices[0].message
    assert message
    assert message.tool_calls
    [call] = message.tool_calls
    assert call["extra_content"] == {"google": {"thought_signature": "c2lnbmF0dXJl"}}
    assert call.to_dict() == TOOL_CALL


SENT_CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        pytest.param(
            {"role": "assistant", "content": "Hi", "tool_calls": None, "reasoning": None},
            {"role": "assistant", "content": "Hi"},
            id="null",
        ),
        pytest.param({"content": "Hi"}, {"role": "assistant", "content": "Hi"}, id="no role"),
        pytest.param(
            {"role": None, "content": None}, {"role": "assistant", "content": ""}, id="no content"
        ),
        pytest.param(
            {"role": "model", "content": "Hi", "tool_calls": []},
            {"role": "assistant", "content": "Hi"},
            id="another role, no calls",
        ),
        pytest.param(
            {"content": None, "reasoning_content": "Hm", "tool_calls": [TOOL_CALL], "x": [None]},
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Hm",
                "tool_calls": [
                    {**TOOL_CALL, "function": {"name": "weather", "arguments": '{"city": "Seoul"}'}}
                ],
                "x": [None],
            },
            id="call with a signature",
        ),
        pytest.param(
            {"tool_calls": [{"id": "a", "index": 0, "function": {"name": "f"}}]},
            {"role": "assistant", "content": None, "tool_calls": [{**SENT_CALL, "index": 0}]},
            id="call without type and arguments",
        ),
        pytest.param(
            {
                "tool_calls": [
                    {
                        "id": "a",
                        "index": None,
                        "type": None,
                        "function": {"name": "f", "arguments": None},
                    }
                ]
            },
            {"role": "assistant", "content": None, "tool_calls": [SENT_CALL]},
            id="call with nulls",
        ),
    ],
)
def test_a_message_of_a_reply_is_sent_back(reply: dict[str, Any], sent: dict[str, Any]) -> None:
    message = AssistantMessage.from_dict(reply)
    assert request_message(message).to_dict() == sent
    assert message.to_dict() == reply


@pytest.mark.parametrize(
    "call",
    [{"id": "a"}, {"function": {"name": "f"}}, {"id": "a", "function": {"arguments": "{}"}}],
)
def test_a_call_without_an_id_or_a_name_cannot_be_sent_back(call: dict[str, Any]) -> None:
    with pytest.raises(KeyError):
        request_message(AssistantMessage.from_dict({"tool_calls": [call]}))


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_sends_what_the_original_does(again: Any) -> None:
    message = MessageSimple(role="user", content="hi")
    body = ChatCompletionQuickRequest(model="gemini-3.5-flash", messages=[message])
    assert again(body).to_dict() == body.to_dict()
    assert repr(again(body).stream) == "UNSET"


def test_the_repr_of_a_model_has_the_fields_that_are_set() -> None:
    chunk = ChatCompletionChunk.from_dict(
        {"id": "a", "choices": [{"delta": {"content": "Hi", "x": 1}}], "usage": None}
    )
    assert repr(chunk) == (
        "ChatCompletionChunk(id='a', choices=[ChunkChoice("
        "delta=Delta(content='Hi', additional_properties={'x': 1}))], usage=None)"
    )
