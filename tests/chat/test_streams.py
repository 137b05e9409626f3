"""Valid streams in each form, and replies of the other form than requested."""

import asyncio
import json

import pytest

from llm_evolink import AsyncEvolinkChat, EvolinkChat
from llm_evolink.constants import MODEL_ID
from tests import scripted_server
from tests.four_ways import COMPLETE, STREAMED, Way, ask, way_id
from tests.scripted_server import STREAM_EVENTS, event_stream, serving

HI = {"choices": [{"delta": {"content": "Hi"}}]}
STOP = {"choices": [{"delta": {}, "finish_reason": "stop"}]}

streamed = pytest.mark.parametrize("way", STREAMED, ids=way_id)


pytestmark = pytest.mark.usefixtures("environment")


def split(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


TEXT = 'Grüße, 한국어 🎉 "quoted"\n'
EVENTS = "".join(
    f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
    for event in ({"choices": [{"delta": {"content": TEXT}}]}, STOP)
)
VALID_STREAMS = [
    pytest.param((EVENTS + "data: [DONE]\n\n").encode(), 1, id="byte by byte"),
    pytest.param((EVENTS + "data: [DONE]\n\n").encode(), 7, id="seven bytes"),
    pytest.param((EVENTS + "data: [DONE]\n\n").replace("\n", "\r\n").encode(), 1, id="CR LF"),
    pytest.param((": hello\n\n" + EVENTS + ": bye\n\ndata: [DONE]\n\n").encode(), 5, id="comments"),
    pytest.param(("event: ping\ndata:\n\n" + EVENTS + "data: [DONE]").encode(), 9, id="pings"),
]


@streamed
@pytest.mark.parametrize(("data", "size"), VALID_STREAMS)
def test_a_valid_stream_in_any_form(monkeypatch, way: Way, data, size):
    def handler(reply: scripted_server.Reply) -> None:
        reply.start()
        reply.chunk(*split(data, size))
        reply.end()

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert (outcome.text, outcome.error) == (TEXT, None)


@streamed
def test_a_line_of_5_mb(monkeypatch, way: Way):
    text = "é" * 2_500_000
    with serving(
        monkeypatch, event_stream({"choices": [{"delta": {"content": text}}]}, *STREAM_EVENTS[1:])
    ):
        outcome = ask(way)

    assert outcome.error is None
    assert outcome.text == text


@streamed
def test_lone_surrogates_are_replaced(monkeypatch, way: Way):
    with serving(
        monkeypatch,
        event_stream(r'{"choices": [{"delta": {"content": "a\ud800b"}}]}', *STREAM_EVENTS[1:]),
    ):
        outcome = ask(way)

    assert (outcome.text, outcome.error) == ("a�b", None)


@streamed
def test_successive_streams_share_a_connection(monkeypatch, way: Way):
    async def main() -> list[str]:
        return [await AsyncEvolinkChat(MODEL_ID).prompt("hi").text() for _ in range(3)]

    with serving(monkeypatch, event_stream(*STREAM_EVENTS)) as server:
        if way.asynchronous:
            texts = asyncio.run(main())
        else:
            texts = [EvolinkChat(MODEL_ID).prompt("hi").text() for _ in range(3)]

    assert texts == ["hi"] * 3
    assert server.connections == 1


@streamed
def test_a_finish_reason_ends_a_stream_without_done(monkeypatch, way: Way):
    with serving(monkeypatch, event_stream(HI, STOP)):
        outcome = ask(way)

    assert (outcome.text, outcome.error) == ("Hi", None)


@streamed
def test_a_complete_reply_to_a_request_for_a_stream(monkeypatch, way: Way):
    choice = {"message": {"content": "Hi"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1}

    def handler(reply: scripted_server.Reply) -> None:
        reply.respond(200, {"choices": [choice], "usage": usage}, x_request_id="r-1")

    with serving(monkeypatch, handler):
        outcome = ask(way)

    assert (outcome.text, outcome.error) == ("Hi", None)
    assert outcome.response.response_json["request_id"] == "r-1"
    assert outcome.response.input_tokens == 3


@pytest.mark.parametrize("way", COMPLETE, ids=way_id)
def test_a_stream_that_was_not_requested(monkeypatch, way: Way):
    with serving(monkeypatch, event_stream(*STREAM_EVENTS)):
        outcome = ask(way)

    assert (outcome.text, outcome.error) == ("hi", None)
