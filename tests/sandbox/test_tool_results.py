"""Tool calls and results in a request, and the signatures of the calls."""

import pytest

from llm_evolink.sandbox.signatures import sign
from tests.four_ways import error_of

USER = {"role": "user", "content": "hello"}


UNSIGNED = "Function call is missing a thought_signature in functionCall parts"


def call(call_id: str = "c1", **changes):
    signature = sign(call_id, "add", {"a": 1})
    complete = {
        "id": call_id,
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 1}'},
        "extra_content": {"google": {"thought_signature": signature}},
    }
    return complete | changes


def assistant(*calls, **fields):
    return {"role": "assistant", "content": None, "tool_calls": list(calls)} | fields


def result(call_id: str = "c1", **fields):
    return {"role": "tool", "tool_call_id": call_id, "content": "2"} | fields


WRONG_ANSWER = "a tool message answers a call of the assistant message before it, once"


CHANGED = "the thought_signature is not that of this call"


@pytest.mark.parametrize(
    ("messages", "param", "problem"),
    [
        ([result()], "messages.1.tool_call_id", WRONG_ANSWER),
        ([{"role": "tool", "content": "2"}], "messages.1.tool_call_id", WRONG_ANSWER),
        ([assistant(call()), result("c2")], "messages.2.tool_call_id", WRONG_ANSWER),
        ([assistant(call()), result(), result()], "messages.3.tool_call_id", WRONG_ANSWER),
        ([assistant(call())], "messages.1.tool_calls", 'no tool message answers the call "c1"'),
        (
            [assistant(call("c1"), call("c2")), result("c1"), USER],
            "messages.1.tool_calls",
            'no tool message answers the call "c2"',
        ),
        (
            [assistant(call(), role="user")],
            "messages.1.tool_calls",
            "only an assistant message holds tool calls",
        ),
        (
            [assistant(call(function={"name": "add", "arguments": "{"})), result()],
            "messages.1.tool_calls.0.function.arguments",
            "not the text of a JSON object",
        ),
        (
            [assistant(call(function={"name": "add", "arguments": "[]"})), result()],
            "messages.1.tool_calls.0.function.arguments",
            "not the text of a JSON object",
        ),
        (
            [assistant(call(function={"name": "add", "arguments": '{"a": 2}'})), result()],
            "messages.1.tool_calls.0",
            CHANGED,
        ),
        (
            [assistant(call(), call(id="c2")), result(), result("c2")],
            "messages.1.tool_calls.1",
            CHANGED,
        ),
    ],
)
def test_tool_calls_and_results_must_match(post, messages, param, problem):
    error = error_of(post([USER, *messages]))
    assert (error["code"], error["param"]) == (400, param)
    assert error["message"].startswith(f"{param}: {problem}")


@pytest.mark.parametrize("extra", [{}, None, {"google": {}}, {"google": "text"}])
def test_a_call_without_its_signature_is_refused(post, extra):
    error = error_of(post([USER, assistant(call(extra_content=extra)), result()]))
    assert error == {
        "code": 400,
        "message": UNSIGNED,
        "type": "invalid_request_error",
        "param": "messages.1.tool_calls.0",
        "fallback_suggestion": "send id, function and extra_content.google.thought_signature "
        "of the call back unchanged",
    }


def test_a_call_that_is_sent_back_unchanged_is_accepted(post):
    arguments = {"name": "add", "arguments": '{"a":1}'}
    response = post([USER, assistant(call(function=arguments)), result()])
    assert response.status_code == 200


def test_a_message_with_tool_calls_needs_no_content(post):
    message = assistant(call())
    del message["content"]
    assert post([USER, message, result()]).status_code == 200


ANSWERED = {"role": "assistant", "content": "Hi"}
HISTORY = [USER, assistant(call(), call("c2", extra_content=None)), result(), result("c2")]


@pytest.mark.parametrize(
    "messages",
    [
        HISTORY,
        # The signature of an earlier turn is not checked, as by Gemini.
        [USER, assistant(call(extra_content=None)), result(), USER],
        [USER, assistant(call(extra_content={"google": {}})), result(), ANSWERED, USER],
        [
            USER,
            assistant(
                call(
                    extra_content={
                        "google": {"thought_signature": "skip_thought_signature_validator"}
                    }
                )
            ),
            result(),
        ],
    ],
)
def test_signatures_that_gemini_does_not_check_are_not_checked(post, messages):
    assert post(messages).status_code == 200


def test_each_round_of_the_current_turn_needs_a_signature(post):
    error = error_of(post([*HISTORY, assistant(call("c3", extra_content=None)), result("c3")]))
    assert (error["message"], error["param"]) == (UNSIGNED, "messages.4.tool_calls.0")
