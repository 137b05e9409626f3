"""Your own replies: `llm evolink sandbox --reply FILE`, and serve(replies=…)."""

from pathlib import Path

import pytest

from llm_evolink.sandbox import patterns, serve
from llm_evolink.sandbox.reply.fixed import read_replies
from tests.four_ways import chunks_of, client_of, error_of, message_of, post_to, text_of, tool

REPLIES = [("capital of (.*)", "Paris"), ("(?i)^hello", "Hi"), ("capital", "Which?")]


@pytest.fixture(scope="module")
def client():
    with serve(replies=REPLIES) as server, client_of(server) as client:
        yield client


@pytest.mark.parametrize(
    ("prompt", "reply"),
    [
        ("The capital of France?", "Paris"),
        ("The capital?", "Which?"),
        ("HELLO", "Hi"),
        ([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "x"}], "Hi"),
        ([{"role": "user", "content": [{"type": "text", "text": "hello"}]}], "Hi"),
    ],
)
def test_the_first_matching_reply_is_given(client, prompt, reply):
    assert text_of(post_to(client, prompt)) == reply


def test_another_prompt_gets_the_generated_reply(client):
    assert text_of(post_to(client, "Oh, hello")).endswith('You said: "Oh, hello"')


def test_only_the_last_user_message_counts(client):
    messages = [{"role": "user", "content": text} for text in ("hello", "bye")]
    assert 'You said: "bye"' in text_of(post_to(client, messages))


def test_a_reply_is_streamed_and_counted(client):
    response = post_to(client, "hello", stream=True, stream_options={"include_usage": True})
    *chunks, last = chunks_of(response)
    assert [chunk["choices"][0]["delta"] for chunk in chunks[1:]] == [{"content": "Hi"}]
    assert last["usage"]["completion_tokens"] == 1


def test_a_reply_has_precedence_over_tools_and_schemas(client):
    message = message_of(post_to(client, "hello add", tools=[tool("add")]))
    assert message == {"role": "assistant", "content": "Hi"}
    assert text_of(post_to(client, "hello", response_format={"type": "json_object"})) == "Hi"


def test_a_reply_is_cut_at_the_token_limit(client):
    (choice,) = post_to(client, "The capital of X", max_tokens=1).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Pari", "length")


def test_an_invalid_pattern_is_an_error():
    problem = r"^'\(' is not a regular expression: missing \) at position 1"
    with pytest.raises(ValueError, match=problem), serve(replies=[("(", "a")]):
        pass


@pytest.mark.parametrize(
    "content",
    [
        '- prompt: "a"\n  reply: b\n- prompt: c\n  reply: |\n    d\n    e\n',
        '[{"prompt": "a", "reply": "b"}, {"prompt": "c", "reply": "d\\ne\\n"}]',
    ],
)
def test_a_file_of_replies_is_yaml_or_json(tmp_path, content):
    path = tmp_path / "replies"
    path.write_text(content)
    assert read_replies(path) == [("a", "b"), ("c", "d\ne\n")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: [", " is neither YAML nor JSON in line 1: expected the node content"),
        (b"- \xff", " is neither YAML nor JSON: "),
        (b"- 2026-13-99", " is neither YAML nor JSON: month must be in 1..12"),
        (b"", " is not a list of objects with a prompt and a reply"),
        (b"prompt: a\nreply: b", " is not a list of objects with a prompt and a reply"),
        (b"- a", ", entry 1 is not an object with a prompt and a reply"),
        (b"- {prompt: a, reply: b}\n- {prompt: a}", ", entry 2 has no reply"),
        (b"- {reply: a}", ", entry 1 has no prompt"),
        (b"- {prompt: a, reply: 1}", ", entry 1: the reply is not text; put it in quotes"),
        (
            b"- {prompt: a, reply: b, model: c}",
            ", entry 1 has 'model', and can have only a prompt and a reply",
        ),
        (
            b"- {prompt: '(', reply: b}",
            ", entry 1: '(' is not a regular expression: missing )",
        ),
    ],
)
def test_an_invalid_file_is_named(tmp_path, content, problem):
    path = tmp_path / "replies.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="replies") as caught:
        read_replies(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}{problem}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing: No such file or directory$"):
        read_replies(tmp_path / "missing")


def test_a_file_without_end_is_refused():
    with pytest.raises(ValueError, match=r"^/dev/zero is larger than 4 MiB$"):
        read_replies(Path("/dev/zero"))


def test_a_pattern_that_takes_too_long_is_an_error(monkeypatch):
    monkeypatch.setattr(patterns, "TIMEOUT", 0.01)
    with serve(replies=[("^(a|aa)+$", "b")]) as server, client_of(server) as client:
        error = error_of(post_to(client, "a" * 60 + "!"))
        assert text_of(post_to(client, "a")) == "b"
    assert (error["code"], error["message"]) == (
        500,
        "The pattern ^(a|aa)+$ took longer than 0.5 s",
    )
