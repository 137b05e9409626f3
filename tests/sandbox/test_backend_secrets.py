"""The backend's key and terminal escapes, in each part of a reply that it can write them to."""

import pytest
from llm.parts import StreamEvent

from tests.four_ways import Scripted, ask_backend, calling, chunks_of, deltas_of, text_of, tool

SECRET = "bk-BACKEND-SECRET-0123456789"
SHOWN = "…6789"


def finishing(reason):
    def set_reason(response):
        response.response_json = {"finish_reason": reason}

    return set_reason


def metadata(value):
    """Return the event of a call that llm sends back to the backend with this metadata."""
    return StreamEvent("tool_call_name", "add", tool_call_id="c1", provider_metadata=value)


def ask(script, **fields):
    model = Scripted(*script)
    model.needs_key = "scripted"
    model.get_key = lambda: SECRET
    return ask_backend(model, tools=[tool("add")], **fields)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        [f"The key is {SECRET}."],
        [SECRET.lower()],
        ["The key is bk-BACK", "END-SECRET-", "0123456789."],
        ["bk-BACKEND-\x1bSECRET-0123456789"],
        [StreamEvent("reasoning", f"I have {SECRET[:9]}"), StreamEvent("reasoning", SECRET[9:])],
        [calling("add", "c1", a=SECRET)],
        [calling("add", "c1", **{SECRET: [{"b": SECRET}]})],
        [calling(SECRET, "c1")],
        [calling("add", SECRET)],
        [metadata({"a": {"token": SECRET}}), calling("add", "c1")],
        ["Hi", finishing(SECRET)],
    ],
)
def test_the_key_in_a_reply_is_shortened_to_its_end(script, stream):
    found = received(ask(script, stream=stream))
    assert SECRET.lower() not in found.lower()
    assert SHOWN in found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        ["Hi\x1b]0;title\x07\x9b2J\x7f\tthere\r\n"],
        ["Hi\x1b", "]0;title\x07", "\x9b2J\x7f\tthere\r\n"],
        [StreamEvent("reasoning", "Hm\x1b[31m"), "Hi"],
        [calling("add", "c1", **{"\x1ba": "\x1b[2J"})],
        [calling("add\x1b[2J", "c\x1b1")],
        ["Hi", finishing("st\x1bop")],
    ],
)
def test_terminal_escapes_in_a_reply_are_removed(script, stream):
    found = received(ask(script, stream=stream))
    assert not {"\x1b", "\x07", "\x9b", "\x7f"} & set(found)
    assert "u001b" not in found


def test_tab_and_line_breaks_are_kept():
    response = ask(["a\tb\r\nc\x1bd"])
    assert response.json()["choices"][0]["message"]["content"] == "a\tb\r\ncd"


def received(response):
    """Return all strings of a response; the text of deltas is joined by type."""
    assert response.status_code == 200
    if response.headers["content-type"] == "application/json":
        return "\n".join(strings(response.json()))
    deltas = deltas_of(response)
    calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
    joined = [
        "".join(part.get(name) or "" for part in parts)
        for name, parts in [
            ("content", deltas),
            ("reasoning_content", deltas),
            ("arguments", calls),
        ]
    ]
    return "\n".join([*joined, *strings(chunks_of(response))])


def strings(value):
    """Yield the strings and names in JSON data."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def test_a_reply_can_end_like_the_key_begins():
    response = ask([f"The key begins with {SECRET[:7]}"])
    assert text_of(response) == "The key begins with bk-BACK"
