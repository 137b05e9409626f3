"""What llm logs of a reply, and the notice about why the reply ended."""

import base64
import json
import sqlite3

import pytest

from tests import llm_process, scripted_server
from tests.chat.test_images import PNG
from tests.four_ways import INTRODUCTION, KEY, MODEL

CUT = (
    "The answer was cut at the token limit: continue it with llm -c 'continue', or raise the limit "
    "with -o max_tokens\n"
)
NO_TEXT = (
    "The token limit was reached before any text of the answer: raise it with -o max_tokens; "
    "reasoning counts too\n"
)
FILTERED = (
    "The answer was cut by the server's content filter (content_filter): rephrase the prompt\n"
)
# 3 tokens, each of 4 characters.
CUT_TEXT = INTRODUCTION[:12]


@pytest.mark.parametrize(
    ("finish_reason", "notice", "flags"),
    [
        ("length", CUT, []),
        ("length", CUT, ["--async", "--no-stream"]),
        ("content_filter", FILTERED, ["--async"]),
        ("stop", "", ["--no-stream"]),
    ],
)
def test_a_cut_answer_has_a_notice_on_stderr(
    scripted, llm_command, turns, finish_reason, notice, flags
):
    scripted({"message": {"content": "Half of"}, "finish_reason": finish_reason})
    done = llm_command("-m", MODEL, "hello", *flags)

    assert (done.stdout, done.stderr, done.returncode) == ("Half of\n", notice, 0)
    log = turns()[0]["response_json"]
    assert (log.keys(), log["finish_reason"]) == ({"finish_reason", "server"}, finish_reason)


def test_a_caller_from_python_reads_why_a_reply_ended(sandbox, way, capfd):
    response = way.prompt("hello", max_tokens=3)

    assert response.text_or_raise() == CUT_TEXT
    assert response.response_json["finish_reason"] == "length"
    assert capfd.readouterr() == ("", "")


def test_in_a_terminal_the_notice_has_a_line_of_its_own(sandbox):
    done = llm_process.run_in_terminal("-m", MODEL, "hello", "-o", "max_tokens", "3")

    assert (done.stdout, done.returncode) == (f"{CUT_TEXT}\n{CUT}\n", 0)


def test_the_notice_follows_a_thought_on_a_line_of_its_own(sandbox, llm_command):
    options = ["-o", "max_tokens", "3", "-o", "reasoning_effort", "low"]

    done = llm_command("-m", MODEL, "hello", *options)
    assert (done.stdout, done.stderr) == ("\n", f"The sandbox \n{NO_TEXT}")
    done = llm_command("-m", MODEL, "hello", *options, "-R")
    assert (done.stdout, done.stderr) == ("\n", NO_TEXT)


USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_response_json_is_plain_and_small(scripted, way):
    scripted(
        {
            "message": {"role": "assistant", "content": "A long text. " * 1000},
            "id": "chatcmpl-1",
            "model": "gemini-3.5-flash-001",
            "created": 1700000000,
            "object": "chat.completion",
            "system_fingerprint": "fp",
            "usage": {**USAGE, "completion_tokens_details": None, "cost": 0.1},
        }
    )
    response = way.prompt("hello")

    assert response.response_json.pop("server").startswith("http://127.0.0.1:")
    assert response.response_json == {
        "id": "chatcmpl-1",
        "model": "gemini-3.5-flash-001",
        "created": 1700000000,
        "finish_reason": "stop",
        "usage": {**USAGE, "completion_tokens_details": None, "cost": 0.1},
    }
    assert json.loads(json.dumps(response.response_json)) == response.response_json
    assert response.resolved_model == "gemini-3.5-flash-001"


def test_names_and_ids_of_a_reply_are_logged_without_control_characters(scripted, way):
    """llm logs prints them as they are."""
    call = {"id": "c\x1b[31m1", "function": {"name": "f\x07", "arguments": "{}"}}
    scripted(
        {
            "message": {"content": "hi", "tool_calls": [call]},
            "id": "chat\x1b]0;title\x07\nid",
            "model": "gemini\x1b[31m\u202e-3.5",
            "finish_reason": "stop\r\n",
        }
    )
    response = way.prompt("hello")
    (made,) = way.resolve(response.tool_calls())

    logged = {name: response.response_json[name] for name in ("id", "model", "finish_reason")}
    assert logged == {
        "id": "chat ]0;title id",
        "model": "gemini [31m -3.5",
        "finish_reason": "stop",
    }
    assert response.resolved_model == "gemini [31m -3.5"
    assert (made.name, made.tool_call_id) == ("f", "c [31m1")


def test_logprobs_are_the_same_streamed_or_not(sandbox, way):
    response = way.prompt("hello", logprobs=True)

    assert response.response_json["logprobs"].keys() == {"content"}
    tokens = response.response_json["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == INTRODUCTION[:20]


@pytest.mark.parametrize("logprobs", [None, {"content": None}, [], "none"])
def test_empty_logprobs_are_left_out(scripted, way, logprobs):
    scripted({"message": {"content": "hi"}, "logprobs": logprobs})

    assert way.prompt("hello").response_json.keys() == {"finish_reason", "server"}


def test_the_database_holds_no_second_copy_no_key_and_no_image(sandbox, llm_command, user_path):
    image = user_path.parent / "cat.png"
    image.write_bytes(PNG)
    prompt = "A sentence to find again. " * 20
    done = llm_command("-m", MODEL, prompt, "-a", str(image))
    assert done.returncode == 0

    with sqlite3.connect(user_path / "logs.db") as database:
        (log,) = database.execute("select response_json from turns").fetchone()
        dump = "\n".join(database.iterdump())
    database.close()
    assert json.loads(log).keys() == {
        "id",
        "model",
        "created",
        "finish_reason",
        "usage",
        "request_id",
        "server",
    }
    assert len(log) < 600
    assert KEY not in dump
    assert base64.b64encode(PNG).decode() not in dump
    assert PNG.hex() not in dump.lower()


def choice_of(text, finish_reason=None, **fields):
    """Return a choice that is valid in a chunk and in a complete reply."""
    return {"message": {"content": text}, "delta": {"content": text}, **fields} | {
        "finish_reason": finish_reason
    }


CHOICES = {
    "more choices than requested": (
        [choice_of("0", "reason 0", index=0), choice_of("1", "reason 1", index=1)],
        ("0", {"finish_reason": "reason 0"}),
    ),
    "no index": ([choice_of("0", "stop")], ("0", {"finish_reason": "stop"})),
    "no text": ([choice_of(None, "stop")], ("", {"finish_reason": "stop"})),
    "a text index": ([choice_of("0", "stop", index="0")], ("0", {"finish_reason": "stop"})),
    "no message": ([{"finish_reason": "stop"}], ("", {"finish_reason": "stop"})),
    "a null message": (
        [{"message": None, "delta": None, "finish_reason": "length"}],
        ("", {"finish_reason": "length"}),
    ),
}


@pytest.mark.parametrize(("choices", "found"), CHOICES.values(), ids=CHOICES)
def test_the_choices_of_a_reply(environment, monkeypatch, way, choices, found):
    def handle(reply: scripted_server.Reply) -> None:
        if reply.request.json().get("stream"):
            reply.events(*({"choices": [choice]} for choice in choices), "[DONE]")
        else:
            reply.respond(200, {"choices": choices})

    with scripted_server.serve(handle) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        response = way.prompt("hello")

    del response.response_json["server"]
    assert (response.text_or_raise(), response.response_json) == found
