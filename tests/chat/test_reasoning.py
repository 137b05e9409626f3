"""Reasoning is shown and logged as reasoning, not as the answer, and is not sent back."""

import pytest

from tests.four_ways import INTRODUCTION, MODEL

THOUGHT = "The sandbox pretends to think; reasoning_effort is low."
ANSWER = f'{INTRODUCTION} You said: "one"'
THINKING = {"usage": {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}}


def reasoning(text, **fields):
    return {"type": "reasoning", "text": text, **fields}


def text(words):
    return {"type": "text", "text": words}


def test_reasoning_is_a_part_before_the_answer(sandbox, way):
    response = way.prompt("one", reasoning_effort="low")

    assert response.text_or_raise() == ANSWER
    assert way.parts(response) == [reasoning(THOUGHT), text(ANSWER)]
    assert response.token_details["completion_tokens_details"] == {
        "text_tokens": 17,
        "reasoning_tokens": 14,
    }


def test_reasoning_is_not_sent_back(sandbox, way):
    way.reply(way.prompt("one", reasoning_effort="low"), "two")

    assert sandbox.requests[1].body["messages"] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": "two"},
    ]


# The deltas of a message, and the parts that llm gets.
FORMS = {
    "reasoning_content": (
        [{"reasoning_content": "Let me "}, {"reasoning_content": "see."}, {"content": "Yes."}],
        [reasoning("Let me see."), text("Yes.")],
    ),
    "reasoning": (
        [{"reasoning": "Let me "}, {"reasoning": "see.", "content": "Yes."}],
        [reasoning("Let me see."), text("Yes.")],
    ),
    "both names": (
        [{"reasoning_content": "Hm.", "reasoning": "Hm."}, {"content": "Yes."}],
        [reasoning("Hm."), text("Yes.")],
    ),
    "ends as the key begins": (
        [{"reasoning_content": "Let me see the options"}, {"content": "Yes."}],
        [reasoning("Let me see the options"), text("Yes.")],
    ),
    "null": (
        [{"reasoning_content": None, "reasoning": None, "content": "Yes."}],
        [reasoning("", redacted=True), text("Yes.")],
    ),
    "empty": (
        [{"reasoning_content": "", "content": "Yes."}],
        [reasoning("", redacted=True), text("Yes.")],
    ),
    "none": ([{"content": "Yes."}], [reasoning("", redacted=True), text("Yes.")]),
    "alone": ([{"reasoning_content": "Hm."}], [reasoning("Hm.")]),
    "unpaired surrogates": (
        [{"reasoning_content": "\ud800", "content": "\udfff"}],
        [reasoning("\ufffd"), text("\ufffd")],
    ),
}


def joined(deltas):
    """Return the complete message of these deltas."""
    message = {}
    for delta in deltas:
        for name, value in delta.items():
            message[name] = (message.get(name) or "") + value if value is not None else None
    return message


@pytest.mark.parametrize(("deltas", "parts"), FORMS.values(), ids=FORMS)
def test_reasoning_in_each_form(scripted, way, deltas, parts):
    scripted({"deltas": deltas, "message": joined(deltas), **THINKING})

    assert way.parts(way.prompt("hello")) == parts


def test_reasoning_is_shown_on_stderr(sandbox, llm_command):
    done = llm_command("-m", MODEL, "one", "-o", "reasoning_effort", "low")

    assert (done.stdout, done.stderr) == (ANSWER + "\n", THOUGHT + "\n")


def test_hidden_reasoning_is_logged_all_the_same(sandbox, llm_command):
    done = llm_command("-m", MODEL, "one", "-o", "reasoning_effort", "low", "-R")
    assert (done.stdout, done.stderr) == (ANSWER + "\n", "")

    assert THOUGHT in llm_command("logs").stdout
