"""Requests from templates: what is rendered, what is refused, what the hash covers."""

import llm
import pytest

from llm_evolink.batch.errors import BatchError
from llm_evolink.batch.requests import RequestError, Requests, RequestTemplate, server_of
from llm_evolink.connection import settings
from llm_evolink.errors import InvalidRequestError

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 16


def build(cells, **asked):
    return Requests(RequestTemplate("m", **asked)).build(cells)


@pytest.mark.parametrize(
    ("prompt", "cells", "text"),
    [
        ("Sentiment: $text", {"text": "good"}, "Sentiment: good"),
        ("${a}b $a", {"a": "1"}, "1b 1"),
        ("$$5 for $a", {"a": "$b ${c} $$"}, "$5 for $b ${c} $$"),
        ("none", {}, "none"),
        ("${Review text}: $a", {"Review text": "good", "a": "%s"}, "good: %s"),
        ("100% ${100%} ${a)b(} ${%(a)s}", {"100%": "1", "a)b(": "2", "%(a)s": "3"}, "100% 1 2 3"),
        ("$テキスト! ${テキスト}の", {"テキスト": "良"}, "良! 良の"),
        ("$größe $été", {"größe": "1", "été": "2"}, "1 2"),
        ("评价$text的情感, $a\xd7$a", {"text": "good", "a": "2"}, "评价good的情感, 2\xd72"),
    ],
)
def test_a_prompt_is_rendered(prompt, cells, text):
    assert build(cells, prompt=prompt).prompt == text


def test_the_system_prompt_is_rendered_too():
    request = build({"lang": "French", "text": "x"}, prompt="$text", system="Answer in $lang, $$1")

    assert (request.prompt, request.system) == ("x", "Answer in French, $1")


def test_input_is_the_prompt_of_the_command_line():
    asked = RequestTemplate(
        "m", "Translate to $lang: $input", input="<$text>", defaults={"lang": "French"}
    )
    requests = Requests(asked)

    assert requests.columns == {"text"}
    assert requests.build({"text": "hi"}).prompt == "Translate to French: <hi>"
    assert requests.build({"text": "hi", "lang": "Greek"}).prompt == "Translate to Greek: <hi>"


def test_the_prompt_of_the_command_line_can_use_a_column_named_input():
    requests = Requests(RequestTemplate("m", "Translate: $input", input="<$input>"))

    assert requests.columns == {"input"}
    assert requests.build({"input": "hi"}).prompt == "Translate: <hi>"


@pytest.mark.parametrize(
    ("asked", "columns", "example"),
    [
        ({"prompt": "Sentiment: "}, ["id", "text"], "$text"),
        ({"prompt": "costs $$5", "system": "Be brief"}, ["id", "Review text"], "${Review text}"),
        ({"prompt": "Rate $input", "input": "this"}, ["id", "テキスト"], "$テキスト"),
        ({"prompt": "in $lang", "defaults": {"lang": "French"}}, ["id", "text"], "$text"),
        ({"attachments": [("a.png", None)]}, ["id"], "$id"),
    ],
)
def test_a_prompt_without_a_column_is_refused(asked, columns, example):
    requests = Requests(RequestTemplate("m", **asked))

    with pytest.raises(BatchError) as error:
        requests.refuse_constant(columns, "; not {}")
    assert str(error.value) == (
        f"The prompt uses no column ({', '.join(columns)}), so every row would be asked the same: "
        f"use one, such as {example}; not {example}"
    )


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": "$text"},
        {"prompt": "a", "system": "$text"},
        {"prompt": "a", "attachments": [("$text.png", None)]},
        {"prompt": "Rate $input", "input": "$text"},
        {"prompt": "in $text", "defaults": {"text": "French"}},
    ],
)
def test_a_prompt_with_a_column_is_not_refused(asked):
    Requests(RequestTemplate("m", **asked)).refuse_constant(["id", "text"])


def test_the_columns_that_are_used():
    asked = RequestTemplate("m", "$a ${b} $$c", system="$d", attachments=[("img/$e.png", None)])

    assert Requests(asked).columns == {"a", "b", "d", "e"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"prompt": "costs $5"},
            r"The prompt has a \$ without a column \(line 1, col 7\); write \$\$",
        ),
        ({"prompt": "a", "system": "100 $"}, "The system prompt has a"),
        ({"prompt": "${}"}, r"The prompt has a \$ without a column \(line 1, col 1\)"),
        ({"prompt": "%%%\n${a"}, r"The prompt has a \$ without a column \(line 2, col 1\)"),
        ({"prompt": None}, "Give a prompt"),
        ({"prompt": ""}, "Give a prompt"),
    ],
)
def test_a_template_that_cannot_be_used(asked, message):
    with pytest.raises(BatchError, match=message):
        Requests(RequestTemplate("m", **asked))


def test_the_hash_covers_all_that_is_asked():
    cells = {"text": "x", "other": "y"}
    variants = [
        RequestTemplate("m", "$text"),
        RequestTemplate("n", "$text"),
        RequestTemplate("m", "$text!"),
        RequestTemplate("m", "$text", system="s"),
        RequestTemplate("m", "$text", schema={"type": "object"}),
        RequestTemplate("m", "$text", options={"seed": 1}),
        RequestTemplate("m", "$text", options={"seed": 2}),
        RequestTemplate("m", "$text", fragments=["f"]),
        RequestTemplate("m", "$text", system_fragments=["f"]),
        RequestTemplate("m", "$text", attachments=[("https://example.com/a.png", None)]),
        RequestTemplate("m", "$text", attachments=[("https://example.com/b.png", None)]),
        RequestTemplate("m", "xs", system=""),
        RequestTemplate("m", "x", system="s"),
    ]
    hashes = [Requests(asked).build(cells).hash for asked in variants]

    assert len(set(hashes)) == len(variants) - 1  # The last is what the fourth asks too.
    assert hashes[-1] == hashes[3]
    again = [Requests(asked).build({**cells, "other": "z"}).hash for asked in variants]
    assert again == hashes
    assert Requests(variants[0]).build({"text": "x!"}).hash not in hashes[:1]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        (None, None),
        (" ", None),
        ("https://first.example", None),
        ("https://SECOND.example:443/v1/", None),
        ("https://other.example/v1", "https://other.example"),
        ("https://first.example/other", "https://first.example/other"),
    ],
)
def test_the_hash_covers_a_server_other_than_evolinks(environment, monkeypatch, url, server):
    monkeypatch.setattr(settings, "SERVERS", ("https://first.example", "https://second.example"))
    monkeypatch.delenv("EVOLINK_BASE_URL", raising=False)
    if url:
        monkeypatch.setenv("EVOLINK_BASE_URL", url)
    template = RequestTemplate("m", "$text")
    found = server_of(llm.get_async_model("gemini-3.5-flash"))

    assert found == server
    requests = Requests(template, found)
    # State files hold this hash.
    assert (requests.build({"text": "x"}).hash == "d2be8dd776ae5169f6856e6b7afd286f") == (
        server is None
    )


def test_the_server_is_that_of_evolinks_models(environment, monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "ftp://example.com")

    other = llm.get_async_model("gpt-4o-mini")
    monkeypatch.setattr(other, "needs_key", "evolink")  # As in extra-openai-models.yaml.
    assert server_of(other) is None
    with pytest.raises(InvalidRequestError, match="EVOLINK_BASE_URL is not the URL of a server"):
        server_of(llm.get_async_model("gemini-3.5-flash"))


def test_an_image_counts_by_its_bytes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(PNG)
    asked = {"prompt": "Describe", "attachments": [("$path", None)]}
    first = build({"path": str(path)}, **asked)
    copied = tmp_path / "b.png"
    copied.write_bytes(PNG)

    assert [each.type for each in first.attachments] == ["image/png"]
    assert build({"path": str(copied)}, **asked).hash == first.hash
    path.write_bytes(PNG + b"\0")
    assert build({"path": str(path)}, **asked).hash != first.hash


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("none.png", "is not a file"),
        ("empty.png/none.png", "is not a file"),
        (".", "is not a file"),
        ("empty.png", "is empty"),
        ("loop.png", "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_an_image_that_cannot_be_sent(tmp_path, monkeypatch, path, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.png").touch()
    (tmp_path / "loop.png").symlink_to("loop.png")

    with pytest.raises(RequestError) as error:
        build({"path": path}, prompt="a", attachments=[("$path", None)])
    assert str(error.value) == f"The attachment {path!r} {problem}"


def test_an_image_whose_name_is_too_long():
    with pytest.raises(RequestError) as error:
        build({"path": "a" * 300}, prompt="a", attachments=[("$path", None)])
    assert str(error.value) == (f"The attachment '{'a' * 99}…' cannot be read: File name too long")


def test_the_identity_is_of_templates_model_options_and_schema():
    variants = [
        RequestTemplate("m", "a"),
        RequestTemplate("m", "b"),
        RequestTemplate("n", "a"),
        RequestTemplate("m", "a", system="s"),
        RequestTemplate("m", "a", options={"seed": 1}),
        RequestTemplate("m", "a", schema={}),
    ]

    assert len({asked.identity() for asked in variants}) == len(variants)
    assert RequestTemplate("m", "a").identity() == variants[0].identity()
