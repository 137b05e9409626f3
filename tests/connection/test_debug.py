"""EVOLINK_DEBUG=1 prints requests and responses without the key."""

import json

import llm
import pytest

from tests import scripted_server
from tests.four_ways import COMPLETE, KEY, SYNC_STREAMED, WAYS, Way, ask, way_id
from tests.scripted_server import serving

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
    for text in ("Your key", " is ", KEY[:9], KEY[9:]):
        reply.event({"choices": [{"delta": {"content": text}}]})
    reply.event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    reply.event("[DONE]")
    reply.end()


@pytest.mark.parametrize("way", WAYS, ids=way_id)
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
    assert KEY not in "\n".join(lines)


def test_images_are_shortened(monkeypatch, capfd):
    attachment = llm.Attachment(url=PIXEL)
    with serving(monkeypatch, echo_key):
        ask(SYNC_STREAMED, "hello", attachments=[attachment])
    shown = capfd.readouterr().err

    assert f"{PIXEL[:38]}…({len(PIXEL) - 38} characters)" in shown
    assert PIXEL not in shown


def test_an_error_is_printed_for_each_attempt(monkeypatch, capfd):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "1")
    with serving(monkeypatch, lambda reply: reply.respond(500, {"error": "no"}, retry_after=0)):
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
