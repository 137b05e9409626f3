"""Regular expressions of a client: their size, and the time that searching for them takes."""

import itertools
from types import SimpleNamespace

import pytest

from llm_evolink.sandbox import json_text, schema_validation
from llm_evolink.sandbox.patterns import compile_bounded
from tests.four_ways import text_of

UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (UUID, "00000000-0000-4000-8000-000000000000"),
        (r"^(?:\d{3}[ -]?){2}\{\d{4}\}$", "123 456-{7890}"),
        (r"^[]{9999}()]{2}\(x\)$", "]](x)"),
        ("a{20000}", "a" * 20_000),
        ("a{0,1000000000}b", "ab"),
    ],
)
def test_a_pattern_of_a_client_is_compiled(pattern, text):
    assert compile_bounded(pattern).search(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "a" * 1001,
        "a{20001}",
        "a{1000000000}",
        "a{1000000000,}",
        "(a{1000}){1000}",
        "((a{100}b){100}){100}",
        r"[\]a{]{1000000}",
        "(a{20001}",
        "(?:" * 3 + "abc" + "){100}" * 3,
    ],
)
def test_a_pattern_that_takes_much_memory_is_not_compiled(pattern):
    with pytest.raises(ValueError, match=r"^the pattern is too large$"):
        compile_bounded(pattern)


# In verbose mode, and after a comment, the repetition of a group does not follow it directly.
@pytest.mark.parametrize("pattern", ["(?x)(a) {1000000}", "(?ix:a)", "(a)(?#b){1000000}"])
def test_flags_and_comments_are_refused(pattern):
    with pytest.raises(ValueError, match=r"^the pattern has flags or a comment$"):
        compile_bounded(pattern)


@pytest.fixture
def searches(monkeypatch):
    """The texts searched; each search takes a tenth of a second of a clock of its own."""
    texts = []
    tenths = itertools.count()

    def search(pattern, text):
        texts.append(text)
        next(tenths)
        return True

    def thread_time():
        return next(tenths) / 20

    monkeypatch.setattr(schema_validation, "matches", search)
    monkeypatch.setattr(schema_validation, "time", SimpleNamespace(thread_time=thread_time))
    return texts


def test_the_searches_for_patterns_take_half_a_second_in_all(searches):
    value = {f"a{number}": 1 for number in range(100)}
    assert not schema_validation.fits(value, {"patternProperties": {"a": True}})
    assert searches == ["a0", "a1", "a2", "a3", "a4"]


def test_all_objects_of_a_prompt_share_that_time(post, searches):
    schema = {"patternProperties": {"a": True}, "required": ["b"]}
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    assert text_of(post('{"a":1}' * 20, response_format=response_format)) == '{"b": {}}'
    assert len(searches) == 5


@pytest.mark.parametrize("text", ["{" * 1_000_000, '{"a":' * 500_000, '{"' * 1_000_000])
def test_the_search_for_objects_ends_soon(text):
    assert list(json_text.objects(text)) == []


def test_an_object_is_found_after_many_braces():
    assert list(json_text.objects("{ {{x" * 100_000 + '{\n"a": {}} { }')) == [{"a": {}}, {}]
