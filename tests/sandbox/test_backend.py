import base64
import itertools
import json
import threading
import time
from contextlib import contextmanager

import httpx
import llm
import pytest
from llm.parts import StreamEvent, TextPart, ToolCallPart, ToolResultPart

from llm_evolink.sandbox import serve
from tests.four_ways import (
    MODEL,
    chunks_of,
    client_of,
    error_of,
    message_of,
    post_to,
    text_of,
    tool,
)
from tests.llm_process import TIMEOUT

from .backends import Plain, Scripted


@contextmanager
def sandbox(model, **options):
    """A client of a sandbox with the model behind it; client.log has its lines."""
    lines = []
    with serve(backend=model, log=lines.append, **options) as server, client_of(server) as client:
        client.log = lines
        yield client


def ask(model, messages="hello", **fields):
    with sandbox(model) as client:
        return post_to(client, messages, **fields)


def prompt_of(messages="hello", **fields):
    """The prompt that the backend gets for a request."""
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


def test_a_backend_answers_in_the_form_of_the_document():
    body = ask(Scripted("Hello ", "you"), "hello").json()
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


def test_a_backend_that_only_knows_prompts_answers():
    assert text_of(ask(Plain(), "hello")) == "You asked: hello"


def test_a_stream_holds_the_pieces_of_the_backend():
    chunks = chunks_of(
        ask(Scripted("Hello ", "", "you"), stream=True, stream_options={"include_usage": True})
    )
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
    assert chunks_of(ask(Scripted("Hi"), stream=True))[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_piece_is_streamed_when_it_comes():
    go_on = threading.Event()
    model = Scripted("one", lambda _: go_on.wait(TIMEOUT), "two")
    body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
    with (
        sandbox(model) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        lines = response.iter_lines()
        assert any('"one"' in line for line in lines)
        assert not model.finished
        go_on.set()
        assert any('"two"' in line for line in lines)


def test_a_backend_that_cannot_stream_is_not_asked_to():
    model = Scripted("Hi")
    model.can_stream = False
    assert deltas_of(ask(model, stream=True))[1] == {"content": "Hi"}
    assert model.stream is False


def test_a_reply_with_nothing_in_it_is_one():
    assert text_of(ask(Scripted())) == ""
    assert deltas_of(ask(Scripted(), stream=True)) == [{"role": "assistant", "content": ""}]


def test_reasoning_is_told_from_text():
    script = [reasoning("Well, "), reasoning("", redacted=True), reasoning("so"), "Hi"]
    assert message_of(ask(Scripted(*script))) == {
        "role": "assistant",
        "content": "Hi",
        "reasoning_content": "Well, so",
    }
    assert deltas_of(ask(Scripted(*script), stream=True))[1:] == [
        {"reasoning_content": "Well, "},
        {"reasoning_content": "so"},
        {"content": "Hi"},
        {},
    ]


ADD = tool("add", type="object", properties={"a": {"type": "integer"}})


def test_tool_calls_are_signed_and_counted():
    script = [calling("add", "c1", a=1), calling("add", None, a=2)]
    response = ask(Scripted(*script), tools=[ADD])
    (choice,) = response.json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    first, second = choice["message"]["tool_calls"]
    assert (first["id"], first["function"]) == ("c1", {"name": "add", "arguments": '{"a": 1}'})
    assert second["id"].startswith("tc_")
    assert list(first["extra_content"]) == ["google"]
    assert "extra_content" not in second
    assert response.json()["usage"]["completion_tokens"] == 4


def test_text_may_stand_beside_tool_calls():
    script = ["Let me add", calling("add", "c1", a=1)]
    message = message_of(ask(Scripted(*script), tools=[ADD]))
    assert (message["content"], len(message["tool_calls"])) == ("Let me add", 1)
    deltas = deltas_of(ask(Scripted(*script), tools=[ADD], stream=True))
    assert deltas[1] == {"content": "Let me add"}
    pieces = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert pieces[0]["extra_content"] == message["tool_calls"][0]["extra_content"]
    assert "".join(piece["function"]["arguments"] for piece in pieces) == '{"a": 1}'


def test_tool_calls_alone_are_streamed_too():
    deltas = deltas_of(ask(Scripted(calling("add", "c1")), tools=[ADD], stream=True))
    assert deltas[0] == {"role": "assistant", "content": None}
    assert deltas[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": ""}


def test_a_call_comes_back_with_what_the_backend_said_of_it():
    named = StreamEvent("tool_call_name", "add", tool_call_id="c1")
    given = StreamEvent(
        "tool_call_args", '{"a": 1}', tool_call_id="c1", provider_metadata={"other": {"sign": "x"}}
    )
    model = Scripted("Hm", named, given, calling("add", "c1", a=1))
    with sandbox(model) as client:
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


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\3\0\0\0\2" + b"\0" * 54
DATA = base64.b64encode(PNG).decode()


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def test_the_whole_chat_is_the_prompt():
    prompt = prompt_of(
        [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": [{"type": "text", "text": t} for t in ("two", "three")]},
        ]
    )
    assert (prompt.system, prompt.prompt) == ("Be brief", "two\nthree")
    assert prompt.messages == [
        llm.system("Be brief"),
        llm.user("one"),
        llm.assistant("1"),
        llm.user("two\nthree"),
    ]


def test_images_are_attachments():
    content = [{"type": "text", "text": "What?"}, image(f"data:image/png;base64,{DATA}")]
    prompt = prompt_of([{"role": "user", "content": content}])
    assert prompt.attachments == [llm.Attachment(type="image/png", content=PNG)]
    assert prompt.messages == [llm.user("What?", *prompt.attachments)]


def test_an_address_of_an_image_stays_one():
    history = {"role": "user", "content": [image("https://example.com/a.png")]}
    prompt = prompt_of([history, {"role": "user", "content": "What?"}])
    assert prompt.messages[0] == llm.user(llm.Attachment(url="https://example.com/a.png"))


def test_an_image_type_has_one_name():
    content = [image(f"data:image/jpg;base64,{DATA}")]
    (attachment,) = prompt_of([{"role": "user", "content": content}]).attachments
    assert attachment.type == "image/jpeg"


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.5, "seed": 1, "stop": "a"}, {"temperature": 0.5}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 3}, {"max_tokens": 3}),
        ({"response_format": {"type": "json_object"}}, {"json_object": True}),
        ({"response_format": {"type": "text"}}, {}),
    ],
)
def test_a_field_is_an_option_where_the_backend_has_it(fields, options):
    assert dict(prompt_of(**fields).options) == {
        "temperature": None,
        "max_tokens": None,
        "json_object": None,
        **options,
    }


def test_a_backend_without_options_gets_none():
    fields = {"max_tokens": 5, "response_format": {"type": "json_object"}}
    assert text_of(ask(Plain(), **fields)) == "You asked: hello"


def test_a_schema_is_the_schema():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    response_format = {"type": "json_schema", "json_schema": {"name": "dog", "schema": schema}}
    assert prompt_of(response_format=response_format).schema == schema


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["add", "sub"]),
        ("required", ["add", "sub"]),
        ("none", []),
        ({"type": "function", "function": {"name": "sub"}}, ["sub"]),
    ],
)
def test_the_choice_says_which_tools_are_offered(choice, names):
    prompt = prompt_of(tools=[ADD, tool("sub")], tool_choice=choice)
    assert [each.name for each in prompt.tools] == names


def test_a_tool_is_offered_with_all_that_is_known_of_it():
    described = {"name": "add", "description": "Adds", "parameters": {"type": "object"}}
    (offered,) = prompt_of(tools=[{"type": "function", "function": described}]).tools
    assert offered == llm.Tool("add", "Adds", {"type": "object"})


def test_the_usage_is_what_the_backend_knows():
    details = {
        "prompt_tokens_details": {"cached_tokens": 3, "other": 1},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    counts = ask(Scripted("Hi", usage(input=10, output=20, details=details))).json()["usage"]
    assert (counts["prompt_tokens"], counts["completion_tokens"]) == (10, 20)
    assert counts["total_tokens"] == 30
    assert counts["prompt_tokens_details"] == {
        "cached_tokens": 3,
        "text_tokens": 0,
        "audio_tokens": 0,
        "image_tokens": 0,
    }
    assert counts["completion_tokens_details"]["reasoning_tokens"] == 4


def test_the_log_tells_the_usage_of_a_stream():
    with sandbox(Scripted("Hi", usage(input=10, output=20))) as client:
        post_to(client, stream=True)
    assert client.log[0].startswith("POST /v1/chat/completions 200 10+20 tokens ")


def test_the_finish_reason_is_that_of_the_backend():
    def cut(response):
        response.response_json = {"finish_reason": "length"}

    (choice,) = ask(Scripted("Hi", cut)).json()["choices"]
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (Scripted(), {"n": 2}, "n: a backend gives one reply"),
        (Plain(), {"tools": [ADD]}, "Plain: plain does not support tools"),
        (
            Plain(),
            {"messages": [{"role": "user", "content": [image(f"data:image/png;base64,{DATA}")]}]},
            "This model does not support attachments",
        ),
    ],
)
def test_what_a_backend_does_not_take_is_refused(model, fields, message):
    error = error_of(ask(model, **fields))
    assert (error["code"], error["message"]) == (400, message)


def test_an_option_that_the_backend_does_not_take_is_named():
    class Cold(Scripted):
        class Options(llm.Options):
            stop: str | None = None

    error = error_of(ask(Cold(), stop=["a", "b"]))
    assert (error["code"], error["param"]) == (400, "stop")
    assert error["message"] == "stop: Input should be a valid string"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (llm.ModelError("No luck\n today"), "No luck today"),
        (ValueError(), "ValueError"),
        (SystemExit(2), "2"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_backend_that_fails_is_an_upstream_error(error, reason, stream):
    response = ask(Scripted(fail(error)), stream=stream)
    assert response.status_code == 502
    assert response.json() == {
        "error": {
            "code": 502,
            "message": f"scripted failed: {reason}",
            "type": "upstream_error",
            "fallback_suggestion": "try different model",
        }
    }


SECRET = "bk-BACKEND-SECRET-0123456789"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        llm.ModelError(f"403 for url https://example.com/?key={SECRET}\x1b]0;pwned\x07"),
        ValueError(f"Authorization: Bearer {SECRET}"),
        SystemExit(f"bad key {SECRET}"),
    ],
)
@pytest.mark.parametrize("script", [[], ["Hi"]])
def test_the_key_of_a_backend_and_escapes_never_reach_a_client(error, stream, script):
    model = Scripted(*script, fail(error))
    model.needs_key = "scripted"
    model.get_key = lambda: SECRET
    with sandbox(model) as client:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": stream}
        text = client.post("/v1/chat/completions", json=body).text
    assert "scripted failed: " in text
    assert SECRET not in text
    assert "u001b" not in text


def test_the_key_of_a_backend_is_not_in_a_400():
    class Keyed(Plain):
        needs_key = "keyed"

        def get_key(self):
            return SECRET

        def prompt(self, *arguments, **options):
            raise ValueError(f"not with {SECRET}\x1b[2J")

    error = error_of(ask(Keyed()))
    assert error["code"] == 400
    assert error["message"].startswith("not with ")
    assert SECRET not in error["message"]
    assert "\x1b" not in error["message"]


def test_an_option_that_the_document_does_not_have_reaches_the_backend():
    class Sampling(Scripted):
        class Options(llm.Options):
            top_k: int | None = None

    model = Sampling("Hi")
    assert ask(model, top_k=40, other=1).status_code == 200
    assert dict(model.prompts[0].options) == {"top_k": 40}


def test_a_backend_that_fails_late_fails_the_whole_reply():
    assert ask(Scripted("Hi", fail(llm.ModelError("No luck")))).status_code == 502


def test_a_backend_that_fails_in_a_stream_ends_it_with_an_error():
    with sandbox(Scripted("Hi", fail(llm.ModelError("No luck")))) as client:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
        response = client.post("/v1/chat/completions", json=body)
    *_, last, rest = response.text.split("\n\n")
    assert (response.status_code, rest) == (200, "")
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["type"], error["message"]) == ("upstream_error", "scripted failed: No luck")


@pytest.mark.parametrize("stream", [False, True])
def test_a_slow_backend_does_not_keep_it_from_stopping(stream):
    go_on, waited, errors = threading.Event(), [], []

    def wait(client):
        try:
            client.post(
                "/v1/chat/completions",
                json={"model": MODEL, "messages": [{"role": "user", "content": "a"}]}
                | {"stream": stream},
            )
        except httpx.TransportError as error:
            errors.append(error)

    model = Scripted("one", lambda _: waited.append(go_on.wait(TIMEOUT)), "two")
    with sandbox(model) as client:
        thread = threading.Thread(target=wait, args=(client,))
        thread.start()
        while not model.prompts:
            time.sleep(0.005)
    assert waited == []  # It has stopped, and the model still waits.
    thread.join(TIMEOUT)
    assert len(errors) == 1
    go_on.set()


def test_a_backend_is_not_listened_to_when_the_client_has_gone():
    model = Scripted()
    model.script = itertools.repeat("one")  # The model ends because nobody listens, or never.
    body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
    with sandbox(model) as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            next(response.iter_lines())
        while not model.finished:
            time.sleep(0.01)


def test_faults_come_with_a_backend_too():
    with sandbox(Scripted("one", "two"), fail=[(429, 1)], garble=True) as client:
        assert post_to(client).status_code == 429
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
        with pytest.raises(json.JSONDecodeError):
            chunks_of(client.post("/v1/chat/completions", json=body))


def test_evolink_may_be_the_backend(environment, monkeypatch):
    with serve() as evolink:
        monkeypatch.setenv("EVOLINK_BASE_URL", evolink.url)
        with sandbox(llm.get_model(MODEL)) as client:
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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"])
def test_a_backend_that_is_the_sandbox_itself_is_an_error(environment, monkeypatch, host):
    model = llm.get_model(MODEL)
    other = Plain()
    with sandbox(model) as client:
        monkeypatch.setenv("EVOLINK_BASE_URL", f"http://{host}:{client.base_url.port}/v1/")
        error = error_of(post_to(client))
        assert error["code"] == 502
        assert error["message"] == f"The backend is the sandbox itself, {client.base_url}".rstrip(
            "/"
        )
    with sandbox(other) as client:
        other.api_base = f"http://{host}:{client.base_url.port}/v1"
        assert post_to(client).status_code == 502
        other.api_base = f"http://{host}:1/v1"
        assert post_to(client).status_code == 200
        other.api_base = f"http://192.0.2.1:{client.base_url.port}"
        assert post_to(client).status_code == 200


def test_a_reply_of_ones_own_goes_before_the_backend():
    with sandbox(Plain(), replies=[("capital of (.*)", "Paris")]) as client:
        assert text_of(post_to(client, "The capital of France?")) == "Paris"
        assert text_of(post_to(client, "Hello")) == "You asked: Hello"
