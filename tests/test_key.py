"""Which keys are accepted, and that the key is shown and logged nowhere."""

import asyncio
import json
import logging
import traceback
from typing import Any

import llm
import pytest

from generated_client import AuthenticatedClient
from llm_evolink import AsyncEvolinkChat, EvolinkChat, errors
from llm_evolink.connection import clients
from llm_evolink.constants import MODEL_ID
from llm_evolink.redaction import Redactor, keep_out_of_logs
from tests import scripted_server
from tests.four_ways import COMPLETE, KEY, STREAMED, SYNC_STREAMED, Way, ask, one_way, way_id
from tests.scripted_server import answer, replying, serving

SHOWN = "…cdef"
ESCAPED = "".join(f"\\u{ord(character):04x}" for character in KEY)


BOTH_MODELS = pytest.mark.parametrize(
    "model", [EvolinkChat(MODEL_ID), AsyncEvolinkChat(MODEL_ID)], ids=["sync", "async"]
)

pytestmark = pytest.mark.usefixtures("environment")


def traces_of(outcome: Any) -> str:
    """Return the reprs and texts of a prompt's response, error and log, as one text."""
    response = outcome.response
    traces = [outcome.text, repr(response), repr(vars(response)), repr(response.response_json)]
    traces += [repr(event) for event in response._stream_events]
    traces += [repr(call) for call in response._tool_calls]
    if outcome.error:
        traces += [repr(outcome.error), repr(vars(outcome.error)), str(outcome.second_read)]
        traces += traceback.format_exception(outcome.error)
    return "\n".join(traces)


ECHOES = [
    pytest.param(401, {"error": {"message": f"Bad key {KEY}!"}}, {}, id="message"),
    pytest.param(401, '{"error": {"message": "' + ESCAPED + '"}}', {}, id="escaped"),
    pytest.param(401, {"error": {"type": KEY, "param": KEY}}, {}, id="type and param"),
    pytest.param(429, {"error": {"fallback_suggestion": f"Use {KEY}"}}, {}, id="suggestion"),
    pytest.param(400, f"plain {KEY}", {}, id="plain text"),
    pytest.param(502, f"<title>{KEY}</title>", {}, id="title"),
    pytest.param(502, f"<title>{'x' * 185}{KEY}</title>", {}, id="long title"),
    pytest.param(400, b"x", {"x_request_id": KEY}, id="request id"),
    pytest.param(307, b"", {"location": f"https://a.example/?{KEY}"}, id="redirect"),
    pytest.param(200, f"hello {KEY}", {}, id="not a reply"),
    pytest.param(400, "x" * (499 - len(KEY) // 2) + KEY, {}, id="where text is cut"),
    pytest.param(400, {"error": {"message": "\t" * 9999 + KEY}}, {}, id="after whitespace"),
    pytest.param(200, {"error": {"message": KEY, "code": KEY}}, {}, id="error with status 200"),
]


@pytest.mark.parametrize(("status", "body", "headers"), ECHOES)
@one_way
def test_an_error_that_echoes_the_key(monkeypatch, way: Way, status, body, headers):
    with serving(monkeypatch, replying(status, body, **headers)):
        outcome = ask(way)

    assert outcome.error
    traces = traces_of(outcome)
    for part in (KEY, KEY[:-1], KEY[:12]):
        assert part not in traces
    assert outcome.error.__context__ is outcome.error.__cause__ is None


@pytest.mark.parametrize(
    ("status", "more"), [(500, ""), (504, "; the request may have been billed")]
)
def test_an_error_that_ends_inside_the_key(monkeypatch, status, more):
    handler = scripted_server.replying(status, f"refused {KEY[:-6]}", content_type="text/plain")
    with serving(monkeypatch, handler):
        error = ask(COMPLETE[0]).error

    assert str(error) == f"refused …{more}; try again later (status {status})"


def test_the_key_is_replaced_by_its_last_four_characters(monkeypatch, way: Way):
    with serving(monkeypatch, replying(401, {"error": {"message": f"Bad key {KEY}!"}})):
        outcome = ask(way)

    assert str(outcome.error) == (
        f"Bad key {SHOWN}!; set another key with: llm keys set evolink; "
        "check with: llm evolink doctor (status 401)"
    )


ARGUMENTS = json.dumps({"path": KEY, KEY: [KEY]})
CALL = {"id": KEY, "function": {"name": KEY, "arguments": ARGUMENTS}, "extra": {KEY: KEY}}
MESSAGE = {"content": f"a {KEY} b", "reasoning_content": KEY, "tool_calls": [CALL], "extra": KEY}
HEAD = {"id": KEY, "model": KEY, "usage": {"prompt_tokens": 1, KEY: KEY}}


def echo_everywhere(reply: scripted_server.Reply) -> None:
    choice = {"finish_reason": KEY, "logprobs": {"content": [{"token": KEY}]}}
    if reply.request.json().get("stream"):
        reply.start(x_request_id=KEY)
        reply.event({**HEAD, "choices": [{"delta": MESSAGE, **choice}]})
        reply.event("[DONE]")
        reply.end()
    else:
        body = {**HEAD, "choices": [{"message": MESSAGE, **choice}]}
        reply.respond(200, body, x_request_id=KEY)


def test_a_reply_that_echoes_the_key(monkeypatch, way: Way):
    with serving(monkeypatch, echo_everywhere):
        outcome = ask(way)

    assert (outcome.text, outcome.error) == (f"a {SHOWN} b", None)
    traces = traces_of(outcome)
    assert KEY not in traces
    assert traces.count(SHOWN) > 10


@pytest.mark.parametrize("flags", [[], ["--no-stream"], ["--async"]], ids=str)
def test_a_reply_that_echoes_the_key_at_the_command_line(
    monkeypatch, llm_command, user_path, flags
):
    with serving(monkeypatch, echo_everywhere):
        done = llm_command("-m", "gemini-3.5-flash", "hi", *flags)

    assert (done.stdout, done.returncode) == (f"a {SHOWN} b\n", 0)
    assert KEY not in done.stderr
    for file in user_path.iterdir():
        assert KEY.encode() not in file.read_bytes()


@pytest.mark.parametrize("size", [1, 2, 5, len(KEY) - 1, len(KEY)])
@pytest.mark.parametrize("way", STREAMED, ids=way_id)
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_a_key_split_over_deltas(monkeypatch, way: Way, size, field):
    text = f"s sk-te sk-test-{KEY} and {KEY}{KEY}s"
    parts = [text[start : start + size] for start in range(0, len(text), size)]

    def handler(reply: scripted_server.Reply) -> None:
        reply.events(
            *({"choices": [{"delta": {field: part}}]} for part in parts),
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            "[DONE]",
        )

    with serving(monkeypatch, handler):
        outcome = ask(way)

    shown = "".join(event.chunk for event in outcome.response._stream_events)
    assert shown == f"s sk-te sk-test-{SHOWN} and {SHOWN}{SHOWN}s"
    assert outcome.error is None


def alternating(reply: scripted_server.Reply) -> None:
    """Send the key as text and as reasoning, five characters of each in turn."""
    for start in range(0, len(KEY), 5):
        if not start:
            reply.start()
        part = KEY[start : start + 5]
        reply.event({"choices": [{"delta": {"content": part}}]})
        reply.event({"choices": [{"delta": {"reasoning_content": part}}]})
    reply.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    reply.event("[DONE]")
    reply.end()


@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_a_key_split_over_deltas_of_text_and_reasoning_in_turn(monkeypatch, way: Way):
    with serving(monkeypatch, alternating):
        outcome = ask(way)

    assert (outcome.text, outcome.error) == (SHOWN, None)
    events = outcome.response._stream_events
    assert "".join(event.chunk for event in events if event.type == "reasoning") == SHOWN


@pytest.mark.parametrize("flags", [[], ["--async"]], ids=str)
def test_a_key_split_over_deltas_at_the_command_line(
    monkeypatch, llm_command, turns, user_path, flags
):
    with serving(monkeypatch, alternating):
        done = llm_command("-m", "gemini-3.5-flash", "hi", *flags)
    logged = llm_command("logs", "-r").stdout

    assert (done.stdout, done.returncode, logged) == (f"{SHOWN}\n", 0, f"{SHOWN}\n")
    assert KEY[5:10] not in done.stderr
    assert turns()
    assert KEY[5:10].encode() not in (user_path / "logs.db").read_bytes()


@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_most_of_a_key_is_not_shown_when_the_stream_breaks(monkeypatch, way: Way):
    def handler(reply: scripted_server.Reply) -> None:
        reply.events({"choices": [{"delta": {"content": f"Hi {KEY[:-1]}"}}]})

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert outcome.text == "Hi …"
    assert outcome.error


def test_text_that_could_begin_the_key_is_delayed():
    redactor = Redactor(KEY)

    assert list(redactor.deltas("text", "ask-t")) == [("text", "a")]
    assert list(redactor.deltas("reasoning", "s")) == []
    assert list(redactor.deltas("reasoning", "k-t")) == []
    assert list(redactor.deltas("reasoning", "! s")) == [("reasoning", "sk-t! ")]
    assert list(redactor.rest()) == [("text", "sk-t"), ("reasoning", "s")]
    assert list(redactor.rest()) == []


def test_text_that_could_begin_the_key_is_released_before_another_type():
    redactor = Redactor(KEY)

    assert list(redactor.deltas("reasoning", "answers")) == [("reasoning", "answer")]
    assert list(redactor.deltas("text", "Yes")) == [("reasoning", "s"), ("text", "Ye")]
    assert list(redactor.deltas("reasoning", "k")) == [("text", "s")]
    assert list(redactor.deltas("text", " or ")) == [("reasoning", "k"), ("text", " or ")]
    assert list(redactor.deltas("reasoning", KEY[2:] + "!")) == [("reasoning", f"{SHOWN}!")]
    assert list(redactor.rest()) == []


def test_a_short_key_is_not_redacted(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_API_KEY", "sandbox")
    with serving(monkeypatch, lambda reply: answer(reply, "In the sandbox")):
        assert ask(way).text == "In the sandbox"


def test_a_redirect_is_not_followed(monkeypatch, way: Way):
    with (
        scripted_server.serve(answer) as target,
        serving(monkeypatch, replying(307, b"", location=target.url)) as server,
    ):
        outcome = ask(way)

    assert (len(server.requests), len(target.requests)) == (1, 0)
    assert str(outcome.error) == (
        f"The server redirects to {target.url}; redirects are not followed; check "
        "EVOLINK_BASE_URL, and whether the network wants a login (status 307)"
    )


@pytest.mark.parametrize("name", ["", "httpx", "httpcore", "httpcore.http11"])
def test_debug_logging(monkeypatch, caplog, way: Way, name):
    caplog.set_level(logging.DEBUG, logger=name or None)

    def handler(reply: scripted_server.Reply) -> None:
        reply.head(400, x_echo=f"Bearer {KEY}", content_length=0)

    with serving(monkeypatch, handler):
        ask(way)

    assert caplog.text
    assert KEY not in caplog.text
    assert (SHOWN in caplog.text) == (name != "httpx")


def test_a_log_record_without_the_key_is_unchanged(caplog):
    keep_out_of_logs(KEY)
    caplog.set_level(logging.DEBUG, logger="httpx")
    for argument in ("fine", f"Bearer {KEY}"):
        logging.getLogger("httpx").debug("%s", argument)

    assert [(each.msg, each.args) for each in caplog.records] == [
        ("%s", ("fine",)),
        (f"Bearer {SHOWN}", ()),
    ]


def test_no_repr_contains_the_key(monkeypatch):
    with serving(monkeypatch, answer) as server:
        client = clients.client(KEY)
        outcome = ask(SYNC_STREAMED)
        asynchronous = asyncio.run(clients.async_client(KEY))

    for each in (client, asynchronous, client.get_httpx_client(), outcome.response):
        assert KEY not in repr(each)
    assert isinstance(client, AuthenticatedClient)
    assert len(server.requests) == 1


@pytest.mark.parametrize("key", [f"  {KEY}", f"{KEY}\n", f"\t{KEY} \r\n"])
def test_whitespace_around_the_key_is_dropped(monkeypatch, way: Way, key):
    monkeypatch.setenv("EVOLINK_API_KEY", key)
    with serving(monkeypatch, answer) as server:
        ask(way)

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "key", ["sk test", "sk-\n-x", "“sk”", "schlüssel", "sk\x00", "sk\x7f", "한"]
)
@BOTH_MODELS
def test_a_key_that_no_header_can_hold_is_refused(model, key):
    with pytest.raises(errors.AuthenticationError) as raised:
        model.get_key(key)

    assert key not in str(raised.value)
    assert str(raised.value).count("llm keys set evolink") == 1


def test_an_invalid_key_is_refused_before_anything_is_sent(monkeypatch, way: Way):
    monkeypatch.setenv("EVOLINK_API_KEY", "two words")
    with serving(monkeypatch, answer) as server:
        outcome = ask(way)

    assert type(outcome.error) is errors.AuthenticationError
    assert server.requests == []


@BOTH_MODELS
@pytest.mark.parametrize("key", [None, "", " \t\r\n"], ids=repr)
def test_no_key(monkeypatch, model, key):
    monkeypatch.delenv("EVOLINK_API_KEY")
    llms_class = llm.KeyModel if isinstance(model, llm.KeyModel) else llm.AsyncKeyModel
    with pytest.raises(llm.NeedsKeyException) as raised_by_llm:
        llms_class.get_key(model)

    with pytest.raises(errors.MissingKeyError) as raised:
        model.get_key(key)
    assert isinstance(raised.value, llm.NeedsKeyException)
    assert str(raised.value) == f"{raised_by_llm.value}; {errors.DOCTOR}"


NOT_JSON = "not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"


@pytest.mark.parametrize(
    ("content", "problem"), [("{broken", NOT_JSON), ("null", "not a JSON object")]
)
@BOTH_MODELS
def test_stored_keys_that_cannot_be_read(user_path, model, content, problem):
    user_path.mkdir()
    (user_path / "keys.json").write_text(content)

    with pytest.raises(errors.MissingKeyError) as raised:
        model.get_key()
    assert raised.value.reason == f"{user_path}/keys.json is {problem}: correct it or remove it"


def test_a_folder_in_place_of_the_stored_keys(user_path):
    (user_path / "keys.json").mkdir(parents=True)

    with pytest.raises(errors.MissingKeyError) as raised:
        EvolinkChat(MODEL_ID).get_key()
    assert raised.value.reason == (
        f"{user_path}/keys.json cannot be used (Is a directory): change its permissions, move it "
        "away, or name another folder in LLM_USER_PATH"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "gemini-3.5-flash", "hi"],
        ["-m", "gemini-3.5-flash", "hi", "--async"],
        ["evolink", "models", "--server"],
        ["evolink", "batch", "rows.csv", "$id"],
    ],
    ids=" ".join,
)
def test_stored_keys_that_cannot_be_read_are_one_line(llm_command, user_path, tmp_path, arguments):
    user_path.mkdir()
    (user_path / "keys.json").write_text("{broken")
    (tmp_path / "rows.csv").write_text("id\n1\n")

    done = llm_command(*arguments, cwd=tmp_path)

    assert (done.stdout, done.stderr, done.returncode) == (
        "",
        f"Error: {user_path}/keys.json is {NOT_JSON}: correct it or remove it; {errors.DOCTOR}\n",
        1,
    )


@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_two_keys_have_two_clients(monkeypatch, way: Way):
    with serving(monkeypatch, answer) as server:
        for key in ("sk-one-0123456789", "sk-two-0123456789", "sk-one-0123456789"):
            monkeypatch.setenv("EVOLINK_API_KEY", key)
            ask(way)

    assert [request.headers["authorization"][-17:] for request in server.requests] == [
        "sk-one-0123456789",
        "sk-two-0123456789",
        "sk-one-0123456789",
    ]


def test_log_probabilities_that_join_to_the_key_are_not_logged(monkeypatch):
    tokens = ["Hi", KEY[:3], KEY[3:10], KEY[10:], "!"]
    logprobs = {"content": [{"token": each, "bytes": [*each.encode()]} for each in tokens]}
    choice = {"message": {"content": "hi"}, "finish_reason": "stop", "logprobs": logprobs}
    with serving(monkeypatch, replying(200, {"choices": [choice]})):
        outcome = ask(COMPLETE[0])
    logged = outcome.response.response_json["logprobs"]["content"]

    assert [entry["token"] for entry in logged] == ["Hi", "…", "…", "…", "!"]
    assert [entry.get("bytes") for entry in logged[1:4]] == [None, None, None]
