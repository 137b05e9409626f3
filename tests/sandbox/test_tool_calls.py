"""The sandbox's calls of tools that a prompt names."""

import json

import pytest

from tests.four_ways import chunks_of, message_of, text_of, tool

INTRODUCTION = "This is the EvoLink sandbox, not gemini-3.5-flash."
INTEGER = {"type": "integer", "minimum": 3}
MULTIPLY = tool(
    "multiply", type="object", properties={"a": INTEGER, "b": INTEGER}, required=["a", "b"]
)
UPPER = tool("upper", properties={"text": {"type": "string"}}, required=["text"])
BARE = {"type": "function", "function": {"name": "now"}}
TOOLS = [MULTIPLY, UPPER, BARE, tool("now-utc")]


def calls_of(response):
    calls = message_of(response).get("tool_calls", [])
    return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls]


def answer(response, *results):
    """Return the messages that follow a reply with tool calls: the reply and the results."""
    message = message_of(response)
    return [
        message,
        *(
            {"role": "tool", "tool_call_id": call["id"], "content": result}
            for call, result in zip(message["tool_calls"], results, strict=True)
        ),
    ]


@pytest.mark.parametrize(
    ("prompt", "calls"),
    [
        ("hello", []),
        ("multiply please", [("multiply", {"a": 3, "b": 3})]),
        ('multiply {"a": 6, "b": 7}', [("multiply", {"a": 6, "b": 7})]),
        ('multiply\n{"a": 6}.', [("multiply", {"a": 6})]),
        (
            "multiply [1], upper {bad",
            [("multiply", {"a": 3, "b": 3}), ("upper", {"text": "sandbox"})],
        ),
        (
            'upper {"text": "multiply"} and upper {"text": "ä"}',
            [("upper", {"text": "multiply"}), ("upper", {"text": "ä"})],
        ),
        ("now", [("now", {})]),
        ("now-utc, now", [("now-utc", {}), ("now", {})]),
        ("multiplying by uppercase, un-upper", []),
        ("then, then now then", [("now", {})]),
    ],
)
def test_a_prompt_that_names_tools_is_answered_with_calls(post, prompt, calls):
    response = post(prompt, tools=TOOLS)
    assert calls_of(response) == calls
    if calls:
        (choice,) = response.json()["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")


def test_calls_have_unique_ids_and_count_as_output(post):
    response = post('upper {"text": "a"} upper {"text": "a"}', tools=TOOLS, n=2)
    choices = response.json()["choices"]
    ids = [call["id"] for choice in choices for call in choice["message"]["tool_calls"]]
    assert len(set(ids)) == 4
    assert response.json()["usage"]["completion_tokens"] == 4 * 4


def test_the_same_prompt_has_the_same_calls(post):
    first, second = (message_of(post("now", tools=TOOLS)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("choice", "prompt", "calls"),
    [
        ("auto", "now", [("now", {})]),
        ("none", "now", []),
        ("required", "hello", [("multiply", {"a": 3, "b": 3})]),
        ("required", "now", [("now", {})]),
        ("now", "hello", [("now", {})]),
        ("now", 'multiply {} now {"a": 1}', [("now", {"a": 1})]),
        ("now", "multiply", [("now", {})]),
    ],
)
def test_tool_choice_forbids_and_forces(post, choice, prompt, calls):
    if choice == "now":
        choice = {"type": "function", "function": {"name": "now"}}
    assert calls_of(post(prompt, tools=TOOLS, tool_choice=choice)) == calls


def test_arguments_are_always_an_object(post):
    assert calls_of(post("odd", tools=[tool("odd", enum=[1])])) == [("odd", {})]


def test_only_offered_tools_are_called(post):
    assert calls_of(post("multiply")) == []


def test_a_final_assistant_message_calls_nothing(post):
    messages = [{"role": "user", "content": "now"}, {"role": "assistant", "content": "I"}]
    assert calls_of(post(messages, tools=TOOLS)) == []


def test_results_are_answered_in_text(post):
    messages = [{"role": "user", "content": "multiply, upper"}]
    messages += answer(post(messages, tools=TOOLS), "42", "A")
    assert text_of(post(messages, tools=TOOLS, tool_choice="required")) == (
        f"{INTRODUCTION} The tool multiply returned: 42\n"
        "The tool upper returned: A\n"
        "Messages: user, assistant, tool, tool.\n"
        "Tools: multiply, upper, now, now-utc."
    )


def test_then_starts_the_next_round_of_calls(post):
    messages = [{"role": "user", "content": 'multiply, now then upper {"text": "then"}.'}]
    first = post(messages, tools=TOOLS)
    assert [name for name, _ in calls_of(first)] == ["multiply", "now"]
    messages += answer(first, "42", "noon")
    second = post(messages, tools=TOOLS)
    assert calls_of(second) == [("upper", {"text": "then"})]
    messages += answer(second, "THEN")
    assert text_of(post(messages, tools=TOOLS)).startswith(
        f"{INTRODUCTION} The tool upper returned: THEN\n"
    )
    messages += [{"role": "assistant", "content": "Done"}, {"role": "user", "content": "now"}]
    assert calls_of(post(messages, tools=TOOLS)) == [("now", {})]


def test_results_without_a_user_message_are_answered(post):
    messages = answer(post("now", tools=TOOLS), "noon")
    assert text_of(post(messages, tools=TOOLS)).startswith(
        f"{INTRODUCTION} The tool now returned: noon\n"
    )


def test_the_first_of_parallel_calls_is_signed(post):
    for stream in (False, True):
        response = post("now, now then now", tools=TOOLS, n=2, stream=stream)
        if stream:
            deltas = [c["delta"] for chunk in chunks_of(response) for c in chunk["choices"]]
            calls = [c for d in deltas for c in d.get("tool_calls", ()) if "id" in c]
        else:
            messages = [choice["message"] for choice in response.json()["choices"]]
            calls = [call for message in messages for call in message["tool_calls"]]
        assert ["extra_content" in call for call in calls] == [True, False, True, False]


def test_a_prompt_has_at_most_128_calls(post):
    assert len(calls_of(post("now " * 200, tools=TOOLS))) == 128
