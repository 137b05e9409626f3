"""Unusual and invalid prompts and options."""

import pytest

from llm_evolink import errors
from tests.four_ways import Way, ask
from tests.scripted_server import answer, serving

SURROGATE = "The prompt contains an unpaired surrogate, which is not valid Unicode"


pytestmark = pytest.mark.usefixtures("environment")


def test_a_prompt_of_20_mb(monkeypatch, way: Way):
    prompt = "é" * 10_000_000
    with serving(monkeypatch, answer) as server:
        outcome = ask(way, prompt)

    assert (outcome.text, outcome.error) == ("hi", None)
    assert server.requests[0].json()["messages"][0]["content"] == prompt


def test_nul_is_sent(monkeypatch, way: Way):
    with serving(monkeypatch, answer) as server:
        assert ask(way, "a\x00b").text == "hi"

    assert server.requests[0].json()["messages"][0]["content"] == "a\x00b"


@pytest.mark.parametrize("prompt", ["", " ", "\n\t \u3000"])
def test_an_empty_prompt_is_not_sent(monkeypatch, way: Way, prompt):
    with serving(monkeypatch, answer) as server:
        outcome = ask(way, prompt)

    assert isinstance(outcome.error, errors.InvalidRequestError)
    assert str(outcome.error).startswith("The prompt is empty")
    assert server.requests == []


@pytest.mark.parametrize("prompt", ["\ud800", "a\udfffb"])
def test_an_unpaired_surrogate_is_not_sent(monkeypatch, way: Way, prompt):
    with serving(monkeypatch, answer) as server:
        outcome = ask(way, prompt)

    assert (type(outcome.error), str(outcome.error)) == (errors.InvalidRequestError, SURROGATE)
    assert server.requests == []
