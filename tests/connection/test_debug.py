"""EVOLINK_DEBUG=1 prints requests and responses without the key."""

import json

import llm
import pytest

from llm_evolink.connection import debug
from tests import scripted_server
from tests.four_ways import COMPLETE, KEY, SYNC_STREAMED, Way, ask
from tests.scripted_server import replying, serving

PIXEL = "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAA" * 20


@pytest.fixture(autouse=True)
def _environment(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOLINK_DEBUG", "1")


def echo_key(reply: scripted_server.Reply) -> None:
    stream = reply.request.json().get("stream")
    headers = {"x_request_id": KEY, "x_escape": "\x1b[31m"}
    if not stream:
        choice = {"message": {"content": f"Your key is {KEY}"}, "finish_reason": "stop"}
        reply.respond(200, {"choices": [choice]}, **headers)
        return
    reply.start(**headers)
    for text in ("Your key", " is ", KEY[:9], KEY[9:16], KEY[16:]):
        reply.event({"id": "c-1", "choices": [{"delta": {"role": "assistant", "content": text}}]})
    reply.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    reply.event("[DONE]")
    reply.end()


def test_request_and_response_are_printed(monkeypatch, capfd, way: Way):
    with serving(monkeypatch, echo_key) as server:
        outcome = ask(way, "hello")
    lines = capfd.readouterr().err.splitlines()

    assert outcome.text == "Your key is …cdef"
    assert lines[0] == f"> POST {server.url}/v1/chat/completions"
    assert "> authorization: Bearer …cdef" in lines
    body = next(line for line in lines if line.startswith("> {"))
    assert json.loads(body[2:])["messages"] == [{"role": "user", "content": "hello"}]
    assert "< 200 Scripted" in lines
    assert "< x-request-id: …cdef" in lines
    assert "< x-escape: \\x1b[31m" in lines
    assert any("Your key" in line for line in lines if line.startswith("< "))
    assert not any(part in "\n".join(lines) for part in (KEY, KEY[:9], KEY[9:16], KEY[16:-4]))


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        pytest.param(["My ", KEY[:4], KEY[4:], " key"], ["My ", "…", "…", " key"], id="two parts"),
        pytest.param([f"a{KEY[:9]}", f"{KEY[9:]}b"], ["…", "…"], id="with other text"),
        pytest.param([*KEY], ["…"] * len(KEY), id="each character"),
        pytest.param([escaped(KEY[:9]), escaped(KEY[9:])], ["…", "…"], id="escaped"),
        pytest.param(["Hi ", KEY[:9], KEY[9:-1]], ["Hi ", "…", "…"], id="all but its end"),
        pytest.param(["sk-", "ip"], ["sk-", "ip"], id="another word"),
    ],
)
@pytest.mark.parametrize("name", ["content", "reasoning_content"])
def test_a_key_split_over_events_is_not_printed(monkeypatch, capfd, name, parts, shown):
    def handler(reply: scripted_server.Reply) -> None:
        reply.events(*(f'{{"choices": [{{"delta": {{"{name}": "{part}"}}}}]}}' for part in parts))

    with serving(monkeypatch, handler):
        ask(SYNC_STREAMED)
    lines = capfd.readouterr().err.splitlines()

    events = [json.loads(line[8:]) for line in lines if line.startswith("< data: ")]
    assert [event["choices"][0]["delta"][name] for event in events] == shown


def test_a_string_without_an_end_is_printed(monkeypatch, capfd):
    body = '"' + '\\"' * 1000 + "\\"
    with serving(monkeypatch, replying(401, body)):
        ask(COMPLETE[0])

    assert f"< {body}" in capfd.readouterr().err.splitlines()


def test_a_long_body_is_cut_after_the_key_is_redacted(monkeypatch, capfd):
    monkeypatch.setattr(debug, "MAX_BODY_BYTES", 40)
    body = b"x" * 30 + KEY.encode() + b"y" * 50
    with serving(monkeypatch, replying(401, body)):
        ask(COMPLETE[0])
    lines = capfd.readouterr().err.splitlines()

    assert lines[-2:] == ["< " + "x" * 30 + "…cdefyyyyy", "< …"]


def test_images_are_shortened(monkeypatch, capfd):
    attachment = llm.Attachment(url=PIXEL)
    with serving(monkeypatch, echo_key):
        ask(SYNC_STREAMED, "hello", attachments=[attachment])
    shown = capfd.readouterr().err

    assert f"{PIXEL[:38]}…({len(PIXEL) - 38} characters)" in shown
    assert PIXEL not in shown


def test_an_error_is_printed_for_each_attempt(monkeypatch, capfd):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "1")
    with serving(monkeypatch, replying(500, {"error": "no"}, retry_after=0)):
        ask(COMPLETE[0])
    lines = capfd.readouterr().err.splitlines()

    assert lines.count("< 500 Scripted") == 2
    assert lines.count('< {"error": "no"}') == 2


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_nothing_is_printed_for_other_values(monkeypatch, capfd, value):
    monkeypatch.setenv("EVOLINK_DEBUG", value)
    with serving(monkeypatch, echo_key):
        ask(SYNC_STREAMED)

    assert capfd.readouterr() == ("", "")


def test_at_the_command_line(monkeypatch, llm_command):
    with serving(monkeypatch, echo_key):
        done = llm_command("-m", "gemini-3.5-flash", "hello")

    assert done.stdout == "Your key is …cdef\n"
    assert done.stderr.startswith("> POST http://127.0.0.1:")
    assert KEY not in done.stderr
