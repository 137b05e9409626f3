"""Errors in the forms in which servers report them."""

import json

import pytest

from llm_evolink.chat.size_limit import SizeLimit
from llm_evolink.chat.usage import count, update
from llm_evolink.error_report import is_error, read_error


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([{"error": "broke"}], True),
        ([[]], False),
        ("text", False),
        (None, False),
        ({"object": "error"}, True),
        ({"success": False}, True),
        ({"success": True, "data": 1}, False),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, True),
        ({"code": 500}, True),
        ({"code": 200, "message": "OK"}, False),
        ({"message": "broke"}, True),
        ({"message": ""}, False),
    ],
)
def test_bodies_that_report_an_error(data, expected):
    assert is_error(data) is expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([{"error": {"message": "broke"}}], "broke"),
        ({"Error": {"Message": "broke"}}, "broke"),
        ({"error": True, "reason": "broke"}, "broke"),
        ({"errors": [{"message": ""}, {"detail": "broke"}]}, "broke"),
        ({"error": {"message": "outer", "metadata": {"raw": '{"error": "broke"}'}}}, "broke"),
        ({"error": {"message": 'outer: {"error": {"message": "broke"}}'}}, "broke"),
        ({"error": {"message": "{not JSON"}}, "{not JSON"),
        ({"error": {"message": "no message in {}"}}, "no message in {}"),
        ({"promptFeedback": {"blockReason": "SAFETY"}}, "The prompt was blocked: SAFETY"),
        (5, None),
    ],
)
def test_the_innermost_message_is_the_reason(data, message):
    assert read_error(data).message == message


def test_an_error_nested_without_end_has_no_message():
    data = json.loads('{"error":' * 60 + "{}" + "}" * 60)
    assert read_error(data).message is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((3, 3), (3.0, 3), ("3", 3), (2**53, 2**53), (2**53 + 1, None), (-1, None)),
        *((0.5, None), (True, None), ("n/a", None), ("\u0663", None), (None, None)),
    ],
)
def test_what_is_a_token_count(value, expected):
    assert count(value) == expected


def test_a_later_zero_replaces_no_count():
    counts = {"prompt_tokens": 3, "prompt_tokens_details": {"text_tokens": 3}}
    update(
        counts,
        {"prompt_tokens": 0, "prompt_tokens_details": {"text_tokens": 0, "image": 2}},
        SizeLimit(),
    )
    update(counts, {"prompt_tokens_details": 0, "completion_tokens": 0}, SizeLimit())
    assert counts == {
        "prompt_tokens": 3,
        "prompt_tokens_details": {"text_tokens": 3, "image": 2},
        "completion_tokens": 0,
    }
