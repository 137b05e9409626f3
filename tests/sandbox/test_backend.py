"""The sandbox with a model of llm as its backend."""

import json
import threading

import llm
import pytest
from llm.parts import StreamEvent, TextPart, ToolCallPart, ToolResultPart

from llm_evolink.sandbox import serve
from tests.four_ways import (
    MODEL,
    Plain,
    Scripted,
    ask_backend,
    calling,
    chunks_of,
    deltas_of,
    message_of,
    post_to,
    sandbox_of,
    text_of,
    tool,
)
from tests.llm_process import TIMEOUT

ADD = tool("add", type="object", properties={"a": {"type": "integer"}})


def reasoning(text, **fields):
    return StreamEvent(type="reasoning", chunk=text, **fields)


def usage(**counts):
    return lambda response: response.set_usage(**counts)


def test_a_backend_answers_in_the_form_of_the_document():
    body = ask_backend(Scripted("Hello ", "you"), "hello").json()
    assert body.pop("id").startswith("chatcmpl-")
    assert body.pop("created") > 1.7e9
    assert body == {
        "model": MODEL,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello you"},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 3,
            "total_tokens": 5,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "text_tokens": 2,
                "audio_tokens": 0,
                "image_tokens": 0,
            },
            "completion_tokens_details": {
                "text_tokens": 3,
                "audio_tokens": 0,
                "reasoning_tokens": 0,
            },
            "input_tokens": 0,
            "output_tokens": 0,
            "input_tokens_details": None,
        },
    }


def test_a_minimal_backend_can_answer():
    assert text_of(ask_backend(Plain(), "hello")) == "You asked: hello"


def test_a_stream_has_one_chunk_for_each_part_of_the_backend():
    model = Scripted("Hello ", "", "you")
    chunks = chunks_of(ask_backend(model, stream=True, stream_options={"include_usage": True}))
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert choices == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None},
        {"index": 0, "delta": {"content": "Hello "}, "finish_reason": None},
        {"index": 0, "delta": {"content": "you"}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 5)
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {
        (chunks[0]["id"], "chat.completion.chunk")
    }


def test_a_stream_without_usage_ends_with_the_finish_reason():
    *_, last = chunks_of(ask_backend(Scripted("Hi"), stream=True))
    assert last["choices"][0]["finish_reason"] == "stop"


def test_a_chunk_is_sent_before_the_next_is_generated():
    go_on = threading.Event()
    model = Scripted("one", lambda _: go_on.wait(TIMEOUT), "two")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
    with (
        sandbox_of(model) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        lines = response.iter_lines()
        assert any('"one"' in line for line in lines)
        assert not model.finished.is_set()
        go_on.set()
        assert any('"two"' in line for line in lines)


def test_a_backend_that_cannot_stream_is_called_without_streaming():
    model = Scripted("Hi")
    model.can_stream = False
    assert deltas_of(ask_backend(model, stream=True))[1] == {"content": "Hi"}
    assert model.stream is False


def test_an_empty_reply_is_valid():
    assert text_of(ask_backend(Scripted())) == ""
    assert deltas_of(ask_backend(Scripted(), stream=True)) == [{"role": "assistant", "content": ""}]


def test_reasoning_is_separate_from_text():
    script = [reasoning("Well, "), reasoning("", redacted=True), reasoning("so"), "Hi"]
    assert message_of(ask_backend(Scripted(*script))) == {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "Well, so",
    }
    assert deltas_of(ask_backend(Scripted(*script), stream=True))[1:] == [
        {"reasoning_content": "Well, "},
        {"reasoning_content": "so"},
        {"content": "Hi"},
        {},
    ]


def test_tool_calls_are_signed_and_counted():
    script = [calling("add", "c1", a=1), calling("add", None, a=2)]
    response = ask_backend(Scripted(*script), tools=[ADD])
    (choice,) = response.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    first, second = choice["message"]["tool_calls"]
    assert (first["id"], first["function"]) == ("c1", {"name": "add", "arguments": '{"a": 1}'})
    assert second["id"].startswith("tc_")
    assert list(first["extra_content"]) == ["google"]
    assert "extra_content" not in second
    assert response.json()["usage"]["completion_tokens"] == 4


def test_a_reply_can_have_text_and_tool_calls():
    script = ["Let me add", calling("add", "c1", a=1)]
    message = message_of(ask_backend(Scripted(*script), tools=[ADD]))
    assert (message["content"], len(message["tool_calls"])) == ("Let me add", 1)
    deltas = deltas_of(ask_backend(Scripted(*script), tools=[ADD], stream=True))
    assert deltas[1] == {"content": "Let me add"}
    parts = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert parts[0]["extra_content"] == message["tool_calls"][0]["extra_content"]
    assert "".join(part["function"]["arguments"] for part in parts) == '{"a": 1}'


def test_a_reply_of_tool_calls_alone_can_be_streamed():
    deltas = deltas_of(ask_backend(Scripted(calling("add", "c1")), tools=[ADD], stream=True))
    assert deltas[0] == {"role": "assistant", "content": None}
    assert deltas[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": ""}


def test_the_backend_gets_the_metadata_of_its_tool_call_back():
    named = StreamEvent("tool_call_name", "add", tool_call_id="c1")
    given = StreamEvent(
        "tool_call_args", '{"a": 1}', tool_call_id="c1", provider_metadata={"other": {"sign": "x"}}
    )
    model = Scripted("Hm", named, given, calling("add", "c1", a=1))
    with sandbox_of(model) as client:
        messages = [{"role": "user", "content": "add"}]
        messages.append(message_of(post_to(client, messages, tools=[ADD])))
        messages.append({"role": "tool", "tool_call_id": "c1", "content": "2"})
        assert post_to(client, messages, tools=[ADD]).status_code == 200
    prompt = model.prompts[1]
    assert prompt.messages == [
        llm.user("add"),
        llm.assistant(
            TextPart("Hm"),
            ToolCallPart("add", {"a": 1}, "c1", provider_metadata={"other": {"sign": "x"}}),
        ),
        llm.tool_message(ToolResultPart("add", "2", "c1")),
    ]
    assert prompt.prompt == ""


def test_the_usage_is_that_of_the_backend():
    details = {
        "prompt_tokens_details": {"cached_tokens": 3, "other": 1},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    model = Scripted("Hi", usage(input=10, output=20, details=details))
    counts = ask_backend(model).json()["usage"]
    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (10, 20)
    assert counts["total_tokens"] == 30
    assert counts["prompt_tokens_details"] == {
        "cached_tokens": 3,
        "text_tokens": 0,
        "audio_tokens": 0,
        "image_tokens": 0,
    }
    assert counts["completion_tokens_details"]["reasoning_tokens"] == 4


def test_the_log_has_the_usage_of_a_stream():
    log = []
    with sandbox_of(Scripted("Hi", usage(input=10, output=20)), log=log.append) as client:
        post_to(client, stream=True)
    assert log[0].startswith("POST /v1/chat/completions 200 10+20 tokens ")


def test_the_finish_reason_is_that_of_the_backend():
    def cut(response):
        response.response_json = {"finish_reason": "length"}

    (choice,) = ask_backend(Scripted("Hi", cut)).json()["choices"]
    assert choice["finish_reason"] == "length"


def test_faults_work_with_a_backend():
    with sandbox_of(Scripted("one", "two"), fail=[(429, 1)], garble=True) as client:
        assert post_to(client).status_code == 429
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
        with pytest.raises(json.JSONDecodeError):
            chunks_of(client.post("/v1/chat/completions", json=body))


def test_the_plugin_s_own_model_can_be_the_backend(environment, monkeypatch):
    with serve() as evolink:
        monkeypatch.setenv("EVOLINK_BASE_URL", evolink.url)
        with sandbox_of(llm.get_model(MODEL)) as client:
            messages = [{"role": "user", "content": 'add {"a": 1}'}]
            messages.append(message_of(post_to(client, messages, tools=[ADD], temperature=0.5)))
            call = messages[-1]["tool_calls"][0]
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": "2"})
            assert "The tool add returned: 2" in text_of(post_to(client, messages, tools=[ADD]))
        assert evolink.requests[0].body["temperature"] == 0.5
        assert [each["role"] for each in evolink.requests[1].body["messages"]] == [
            "user",
            "assistant",
            "tool",
        ]


def test_a_fixed_reply_takes_precedence_over_the_backend():
    with sandbox_of(Plain(), replies=[("capital of (.*)", "Paris")]) as client:
        assert text_of(post_to(client, "The capital of France?")) == "Paris"
        assert text_of(post_to(client, "Hello")) == "You asked: Hello"
