"""Arbitrary replies: whatever a server sends, the result is a reply or an EvolinkError.

Through llm and the generated client, in memory: 2,030 examples, or 20,300 with --fuzz.
"""

import asyncio
import json
import string
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generated_client import AuthenticatedClient
from llm_evolink import AsyncEvolinkChat, EvolinkChat, errors, failures
from llm_evolink.connection import clients
from llm_evolink.constants import MODEL_ID
from llm_evolink.redaction import Redactor
from llm_evolink.retry_after import retry_after
from tests.four_ways import KEY

MODEL, ASYNC_MODEL = EvolinkChat(MODEL_ID), AsyncEvolinkChat(MODEL_ID)


def examples(hundreds: float) -> Callable[[Any], Any]:
    """Set the number of examples: hypothesis's default is 100, with --fuzz it is 1,000."""
    return settings(
        max_examples=round(hundreds * settings.default.max_examples),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in these parts."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[bytes]:
        yield from self.parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self.parts:
            yield part


class Memory(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers each request with the status, headers and parts that are set."""

    status: int
    headers: dict[str, str]
    parts: list[bytes]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, headers=self.headers, stream=Body(self.parts))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    answers = Memory()
    client = AuthenticatedClient(
        base_url="http://127.0.0.1",
        token=KEY,
        timeout=httpx.Timeout(1),
        httpx_args={"transport": answers},
    )

    async def async_client(key: str, timeout: float | None) -> AuthenticatedClient:
        return client

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clients, "client", lambda key, timeout: client)
        patch.setattr(clients, "async_client", async_client)
        yield answers


def outcome(stream: bool, asynchronous: bool = False) -> tuple[Any, ...]:
    """Return the text or error, deltas, tool calls and input tokens of a prompt.

    Any error but EvolinkError is raised.
    """
    if asynchronous:
        response: Any = ASYNC_MODEL.prompt("hi", stream=stream, key=KEY)
    else:
        response = MODEL.prompt("hi", stream=stream, key=KEY)
    shown: Any = None
    try:
        shown = asyncio.run(_text(response)) if asynchronous else response.text()
    except errors.EvolinkError as error:
        line = str(error)
        assert line.isprintable()
        assert len(line) < 5 * errors.MAX_TEXT
        assert KEY not in line
        shown = type(error), line
    else:
        # What llm logs.
        json.dumps(response.response_json).encode()
        shown.encode()
    deltas = [event.chunk for event in response._stream_events if event.type != "tool_call_args"]
    calls = [(call.name, call.arguments) for call in response._tool_calls]
    return shown, "".join(deltas), calls, response.input_tokens


async def _text(response: Any) -> str:
    return await response.text()


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return the data cut at these places, in any order, modulo its length."""
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in pairwise(places)]


EVENT_STREAM = {"content-type": "text/event-stream"}
cuts = st.lists(st.integers(0, 10_000), max_size=6)
text = st.text(max_size=12) | st.sampled_from(
    [KEY, KEY[:9], KEY[9:], "\ud800", "\x1b[31m", "\u202e"]
)
number = st.integers(-(2**70), 2**70) | st.floats()
scalars = st.none() | st.booleans() | number | text

# JSON that has the names of a reply in wrong places, more often than not.
NAMES = sorted(
    {
        "choices", "delta", "message", "content", "tool_calls", "function", "name", "arguments",
        "index", "id", "model", "created", "usage", "prompt_tokens", "completion_tokens", "error",
        "code", "type", "param", "fallback_suggestion", "detail", "msg", "finish_reason",
        "reasoning_content", "reasoning", "logprobs", "prompt_tokens_details",
        "completion_tokens_details", "reasoning_tokens", "extra_content", "role",
    }
)  # fmt: skip
names = st.sampled_from(NAMES) | text
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=5,
)
function = st.fixed_dictionaries({}, optional={"name": scalars, "arguments": anything})
call = st.fixed_dictionaries(
    {}, optional={"id": scalars, "index": scalars, "function": function | scalars, "x": anything}
)
delta = st.fixed_dictionaries(
    {},
    optional={
        "content": scalars,
        "reasoning_content": scalars,
        "tool_calls": st.lists(call | scalars, max_size=3) | scalars,
        "extra": anything,
    },
)
choice = st.fixed_dictionaries(
    {},
    optional={
        "index": scalars,
        "delta": delta | scalars,
        "message": delta | scalars,
        "finish_reason": scalars,
        "logprobs": anything,
    },
)
nearly = st.fixed_dictionaries(
    {},
    optional={
        "choices": st.lists(choice | scalars, max_size=3) | scalars,
        "usage": st.dictionaries(names, anything, max_size=4) | scalars,
        "id": scalars,
        "model": scalars,
        "created": scalars,
        "error": anything,
    },
)


@st.composite
def event_streams(draw: st.DrawFn, events: st.SearchStrategy[Any], least: int = 0) -> bytes:
    """Draw an event stream: events, comments, line ends of any type, an end or none."""
    newline = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = []
    for event in draw(st.lists(events, min_size=least, max_size=5)):
        data = json.dumps(event, ensure_ascii=draw(st.booleans()))
        lines += [draw(st.sampled_from(["", ": ping", "event: x", "id: 7"])), f"data: {data}", ""]
    lines += draw(st.sampled_from([["data: [DONE]", "", ""], ["data: [DONE]"], []]))
    return newline.join(lines).encode("utf-8", "surrogatepass")


@examples(5)
@given(data=st.binary(max_size=200), parts=cuts, stream=st.booleans())
def test_arbitrary_bytes(memory, data, parts, stream):
    memory.status, memory.headers, memory.parts = 200, EVENT_STREAM, split(data, parts)
    outcome(stream)


@examples(2)
@given(data=event_streams(nearly | anything), parts=cuts)
def test_events_in_another_form(memory, data, parts):
    memory.status, memory.headers, memory.parts = 200, EVENT_STREAM, split(data, parts)
    outcome(stream=True)


@examples(2)
@given(data=nearly | anything, stream=st.booleans())
def test_a_reply_in_another_form(memory, data, stream):
    memory.status, memory.headers = 200, {"content-type": "application/json"}
    memory.parts = [json.dumps(data).encode()]
    outcome(stream)


texts = st.text(max_size=20) | st.sampled_from(
    ["한국어 🎉", KEY, KEY[:9], KEY[9:], "\u2028", "\r\n"]
)
deltas = st.fixed_dictionaries({}, optional={"content": texts, "reasoning_content": texts})
valid = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"delta": deltas}), min_size=1, max_size=1)},
    optional={"id": texts, "usage": st.just({"prompt_tokens": 3})},
)


@examples(1)
@given(data=event_streams(valid, least=1), first=cuts, second=cuts)
def test_a_split_changes_nothing(memory, data, first, second):
    memory.status, memory.headers, memory.parts = 200, EVENT_STREAM, split(data, first)
    one = outcome(stream=True)
    memory.parts = split(data, second)
    assert outcome(stream=True) == one
    memory.parts = [bytes([byte]) for byte in data]
    assert outcome(stream=True) == one


@examples(0.3)
@given(data=event_streams(nearly | valid), parts=cuts)
def test_async_is_the_same(memory, data, parts):
    memory.status, memory.headers, memory.parts = 200, EVENT_STREAM, split(data, parts)
    assert outcome(stream=True, asynchronous=True) == outcome(stream=True)


bodies = st.binary(max_size=300) | (nearly | anything).map(lambda data: json.dumps(data).encode())
headers = st.dictionaries(
    st.sampled_from(["location", "x-request-id", "content-type", "retry-after"]),
    st.text(string.printable, max_size=20) | st.just(KEY),
)


@examples(5)
@given(status=st.integers(201, 599), headers=headers, body=bodies)
def test_any_error(status, headers, body):
    error = failures.from_status(status, headers, body)
    error = error.completed(redactor=Redactor(KEY), request_id=headers.get("x-request-id"))

    assert isinstance(error, errors.EvolinkError)
    assert str(error).isprintable()
    assert KEY not in str(error)


@examples(2)
@given(
    header=st.text(string.printable, max_size=40)
    | st.tuples(
        st.sampled_from(["Mon, ", ""]),
        st.integers(-1, 10**20).map(str),
        st.sampled_from([" Nov ", " 11 ", "-Nov-"]),
        st.integers(-1, 10**20).map(str),
        st.sampled_from([" 1:2:3 GMT", " 25:61:61 +9999", " 1:2:3 -99999999999999999999", ""]),
    ).map("".join),
    body=bodies,
)
def test_any_retry_after(header, body):
    response = httpx.Response(503, headers=[(b"retry-after", header.encode())], content=body)
    seconds = retry_after(response.headers, response.content)
    assert seconds is None or seconds >= 0


@examples(3)
@given(
    key=st.text("ab", min_size=7, max_size=12).map("{}!".format),
    deltas=st.lists(st.tuples(st.booleans(), st.text("ab!", max_size=15)), max_size=8),
)
def test_the_key_in_any_deltas(key, deltas):
    redactor = Redactor(key)
    shown: dict[bool, str] = {True: "", False: ""}
    for is_text, delta in deltas:
        for of, text in redactor.deltas(str(is_text), delta):
            shown[of == "True"] += text
    for of, text in redactor.rest():
        shown[of == "True"] += text

    for is_text, text in shown.items():
        sent = "".join(delta for of, delta in deltas if of == is_text)
        assert key not in text
        assert key in sent or text == sent
