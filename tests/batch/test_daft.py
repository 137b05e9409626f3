"""Asking the rows of a Daft dataframe, on this machine alone."""

import os
import re
import threading
from pathlib import Path

import pytest

os.environ["DAFT_ANALYTICS_ENABLED"] = "0"  # Daft reports its use over the network.
daft = pytest.importorskip("daft", reason="the extra daft is not installed")

from daft.pickle import dumps  # noqa: E402

from llm_evolink import daft as module  # noqa: E402
from llm_evolink.batch import BatchError  # noqa: E402
from llm_evolink.daft import ask  # noqa: E402
from tests import four_ways, scripted_server  # noqa: E402
from tests.llm_process import TIMEOUT  # noqa: E402
from tests.scripted_server import Answer, Model, Refusal, chunk, event_stream, serving  # noqa: E402

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOKENS = {"input": 10, "output": 4, "cached": 0}
CACHED = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 7}}


def table(*texts):
    return daft.from_pydict({"text": list(texts)})


def results(dataframe, *columns, **options):
    """The results of the rows, in order."""
    columns = columns or (daft.col("text"),)
    return dataframe.select(ask(*columns, **options).alias("result")).to_pydict()["result"]


def answer(text, **fields):
    return {"answer": text, "error": None, "tokens": TOKENS, "response_id": "response", **fields}


def failure(error, **fields):
    return {"answer": None, "error": error, "tokens": None, "response_id": None, **fields}


def test_a_row_that_fails_is_a_row_with_an_error(model):
    answers = {
        "bad": Refusal(400, "Not a prompt"),
        "cut": Answer("half an ans", finish_reason="MAX_TOKENS"),
        "cached": Answer("cheap", usage=CACHED),
        "uncounted": Answer("free", usage=None),
    }
    model.respond = lambda text, _: answers.get(text, f"answer to {text}")

    assert results(table("first", "bad", "", None, "cut", "cached", "uncounted", "$last")) == [
        answer("answer to first"),
        failure("Not a prompt (status 400)"),
        failure("The prompt is empty: there is nothing to send"),
        failure("The prompt is empty: there is nothing to send"),
        failure(
            "The answer was cut at the token limit: raise the option max_tokens",
            tokens=TOKENS,
            response_id="response",
        ),
        answer("cheap", tokens={"input": 9, "output": 2, "cached": 7}),
        answer("free", tokens=None),
        answer("answer to $last"),
    ]


def test_prompts_are_templates_over_the_columns(model):
    dataframe = daft.from_pydict({"text": ["costs $5"], "number": [3]})
    columns = [daft.col("text"), daft.col("number")]

    assert results(
        dataframe,
        *columns,
        prompt="$number: $text $$1",
        system="Be brief, $number",
        options={"temperature": 0, "seed": 7},
    ) == [answer("answer to 3: costs $5 $1")]
    (body,) = model.bodies
    assert body["messages"][0] == {"role": "system", "content": "Be brief, 3"}
    assert (body["temperature"], body["seed"]) == (0, 7)


def test_a_row_of_binary_data_is_an_error(model):
    assert (
        results(table(b"\xff", b"\x00"))
        == [failure("the column prompt holds binary data, which cannot be part of a prompt")] * 2
    )
    assert model.asked == []


def test_an_answer_fits_the_schema_or_is_an_error(model):
    model.respond = lambda text, _: text
    texts = ['{"n": 1}', "one", '{"n": "1"}']

    found = results(table(*texts), schema=SCHEMA)

    assert [(each["answer"], each["error"]) for each in found] == [
        ('{"n": 1}', None),
        (None, "The answer is not JSON"),
        (None, "'n' does not fit the schema: it is not of type integer"),
    ]
    assert model.bodies[0]["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("refusals", "requests", "error"),
    [
        ([Refusal(500)] * 2, 3, None),
        ([Refusal(500)] * 3, 3, "no; try again later (status 500)"),
        ([Refusal(400)], 1, "no (status 400)"),
        ([Refusal(504)], 1, "no; the request may have been billed; try again later (status 504)"),
        ([Refusal(429, headers={"retry_after": "0"})] * 5, 6, None),
        ([Refusal(503, headers={"retry_after": "0"})] * 5, 6, None),
    ],
)
def test_a_row_is_asked_again(model, monkeypatch, refusals, requests, error):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "5")  # Not the connection's own.
    model.respond = lambda text, before: dict(enumerate(refusals)).get(before, "answer")

    (found,) = results(table("row"))

    assert (found["error"], len(model.asked)) == (error, requests)


def test_a_row_whose_answer_breaks_off_with_a_refusal_is_asked_once(environment, monkeypatch):
    error = {"error": {"code": 503, "message": "overloaded"}}

    def handler(reply):
        if len(server.requests) == 1:
            event_stream(chunk("half"), error)(reply)
        else:
            scripted_server.answer(reply)

    with serving(monkeypatch, handler) as server:
        (found,) = results(table("row"))

    assert len(server.requests) == 1
    assert found["error"].startswith("The answer is incomplete: overloaded; ")


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (Refusal(401), "no; set another key with: llm keys set evolink; "),
        (Refusal(402), "no; top up at "),
        (Refusal(429, headers={"retry_after": "3600"}), "The server asks to wait 3,"),
    ],
    ids=["key", "quota", "long delay"],
)
def test_an_error_of_every_row_ends_the_run(model, refusal, error):
    model.respond = lambda text, _: refusal
    dataframe = table(*map(str, range(50)))
    expression = ask(daft.col("text")).alias("result")

    found = dataframe.select(expression).to_pydict()["result"]

    assert len(found) == 50
    assert all(each["error"].startswith(error) for each in found)
    assert 1 <= len(model.asked) <= 4  # Those that were in flight.
    # The same expression asks again in the next run.
    model.respond = lambda text, _: "answer"
    found = dataframe.select(expression).to_pydict()["result"]
    assert [each["error"] for each in found] == [None] * 50


def test_the_ceilings_are_those_of_all_workers(environment, monkeypatch):
    rates = []

    class Rates(module.Rates):
        def __init__(self, rpm, tpm):
            rates.append(rpm)
            super().__init__(None, None)

    in_flight = threading.Barrier(3)
    answering = Model(lambda text, _: "answer")

    def handle(reply):
        in_flight.wait(TIMEOUT)
        answering.handle(reply)

    monkeypatch.setattr(module, "Rates", Rates)
    with scripted_server.serve(handle) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        found = results(table(*map(str, range(9))), concurrency=6, workers=2, rpm=60)

    assert [each["error"] for each in found] == [None] * 9
    assert server.connections == 3
    assert set(rates) == {30}


def authorizations(monkeypatch, **options):
    """The first error and the credentials of the requests for two rows."""
    answering = Model(lambda text, _: "answer")
    with scripted_server.serve(answering.handle) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        found = results(table("a", "b"), **options)
    return found[0]["error"], {each.headers["authorization"] for each in server.requests}


def test_workers_find_the_key_as_llm_does_or_in_a_file(environment, monkeypatch, tmp_path):
    key_file = tmp_path / "key"
    key_file.write_text("sk-of-the-file-0123\n")
    missing = tmp_path / "missing"

    assert authorizations(monkeypatch) == (None, {f"Bearer {four_ways.KEY}"})
    assert authorizations(monkeypatch, key_file=str(key_file)) == (
        None,
        {"Bearer sk-of-the-file-0123"},
    )
    assert authorizations(monkeypatch, key_file=str(missing)) == (
        f"The key file {missing} cannot be read: No such file or directory",
        set(),
    )
    monkeypatch.delenv("EVOLINK_API_KEY")
    assert authorizations(monkeypatch) == (
        "No key found - add one using 'llm keys set evolink' or set the EVOLINK_API_KEY "
        "environment variable; check with: llm evolink doctor",
        set(),
    )


def test_the_key_is_not_in_what_is_sent_to_workers(environment, tmp_path):
    (tmp_path / "key").write_text("sk-of-the-file-0123")
    expression = ask(daft.col("text"), prompt="A $text", key_file=str(tmp_path / "key"))

    sent = dumps(expression)

    assert b"A $text" in sent
    assert four_ways.KEY.encode() not in sent
    assert b"sk-of-the-file" not in sent


@pytest.mark.parametrize(
    ("columns", "options", "error"),
    [
        ([], {}, "Give prompt=, a template over the columns, or one column of prompts"),
        (["a", "b"], {}, "Give prompt=, a template over the columns, or one column of prompts"),
        (["a", "b"], {"prompt": "$a $c"}, "there is no column c; the columns are a, b"),
        (["a", "b"], {"prompt": ""}, "Give a prompt, such as "),
        (["a"], {"system": "$b"}, "there is no column b; the columns are prompt"),
        (
            ["a"],
            {"prompt": "Sentiment: "},
            "The prompt uses no column (a), so every row would be asked the same: use one, such "
            "as $a",
        ),
        (["a"], {"prompt": "5 $"}, "The prompt has a $ without a column"),
        (["a"], {"options": {"seed": "x"}}, "Invalid option seed: "),
        (["a"], {"schema": {"required": 1}}, "The schema is not a JSON Schema: 'required' must "),
        (["a"], {"workers": 0}, "workers and concurrency must be at least 1"),
        (["a"], {"concurrency": 0}, "workers and concurrency must be at least 1"),
        (["a"], {"rpm": -1, "workers": 2}, "rpm must be positive and finite; 0 is no limit"),
    ],
)
def test_a_wrong_argument_is_an_error_before_anything_is_asked(
    environment, columns, options, error
):
    with pytest.raises(BatchError) as raised:
        ask(*map(daft.col, columns), **options)

    assert str(raised.value).startswith(error)


def test_the_readme_asks_a_table_and_the_rows_that_failed_again(model, monkeypatch, tmp_path):
    readme = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    section = readme.partition("### On a Ray cluster, with Daft")[2].partition("\n## ")[0]
    first, again = re.findall(r"^```py\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}

    model.respond = lambda text, before: "good" if "Lovely" in text or before else Refusal(400)
    exec(first, names)
    exec(again, names)

    cold, lovely = (f"Sentiment of this review: {text}" for text in ("Cold soup.", "Lovely!"))
    assert model.counts == {cold: 2, lovely: 1}
    answered = names["answered"].to_pydict()
    assert sorted(answered["id"]) == [1, 2]
    assert [result["answer"] for result in answered["result"]] == ["good", "good"]
