"""`llm evolink batch`: limits of rows, cost and rates."""

import json

from llm_evolink.extra import install_command
from tests.scripted_server import Answer, Refusal


def test_limit_asks_the_first_rows_and_estimates_all(model, batch, table, user_path):
    user_path.mkdir(exist_ok=True)
    prices = {"gemini-3.5-flash": {"in": 1000, "out": 2000}}
    (user_path / "evolink-prices.json").write_text(json.dumps(prices))
    path = table(1000)
    done = batch(path, "$text", "--limit", "3")

    assert (done.returncode, len(model.asked)) == (0, 3)
    assert done.stderr.splitlines()[:3] == [
        "Answered 3, failed 0 of 3 rows",
        "Tokens: 30 input, 12 output; cost 0.054",
        "All 1,000 rows would use about: 10,000 input, 4,000 output; cost 18",
    ]
    again = batch(path, "$text", "--limit", "4")
    assert len(model.asked) == 4
    assert "about: 10,000 input, 4,000 output; cost 18" in again.stderr


def test_max_cost_needs_a_price_and_counts_all_runs(model, batch, table, user_path):
    path = table(50)
    unknown = batch(path, "$text", "--max-cost", "0.1")
    assert unknown.returncode == 1
    assert unknown.stderr == (
        "Error: --max-cost needs a price of gemini-3.5-flash in "
        f"{user_path / 'evolink-prices.json'}\n"
    )
    assert model.asked == []

    prices = {"gemini-3.5-flash": {"in": 1000, "out": 2000}}
    (user_path / "evolink-prices.json").write_text(json.dumps(prices))
    for _ in range(2):
        done = batch(path, "$text", "--max-cost", "0.1", "-c", "2")
        assert done.returncode == 1
        assert done.stderr.endswith("Error: the limit of cost, 0.1, is reached\n")
        assert 6 <= len(model.asked) <= 7  # 0.018 a row.


def test_rates_without_their_extra(model, batch, table, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "aiolimiter", None)
    done = batch(table(2), "$text", "--rpm", "60")

    assert (done.returncode, model.asked) == (1, [])
    assert done.stderr == f"Error: rpm and tpm need an extra: {install_command('batch')}\n"


def test_rates_that_allow_everything(model, batch, table):
    done = batch(table(3), "$text", "--rpm", "6000000", "--tpm", "6000000000")

    assert (done.returncode, len(model.asked)) == (0, 3)


def test_a_pause_over_max_wait_ends_the_run(model, batch, table):
    path = table(8)
    model.respond = lambda text, _: (
        Refusal(429, headers={"retry_after": "86400"}) if "5" in text else "a"
    )
    done = batch(path, "$text", "--max-wait", "60", "-c", "1")

    assert done.returncode == 1
    assert done.stderr.endswith(
        "To continue, run the same command again\n"
        "Error: The server asks to wait 86,400 s, longer than the maximum wait of 60 s\n"
    )
    model.respond = lambda *_: "a"
    model.asked.clear()
    assert batch(path, "$text").returncode == 0
    assert sorted(text[7] for text in model.asked) == ["5", "6", "7", "8"]


def test_a_run_whose_only_failures_are_cut_answers_cannot_be_continued(model, batch, table):
    """The same command would not ask them again."""
    model.respond = lambda text, _: Answer("a", "length" if "2" in text else "stop")
    done = batch(table(3), "$text")

    assert done.returncode == 1
    assert "To continue" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Batch ")


def test_max_failures_and_max_tokens_end_the_run(model, batch, table):
    model.respond = lambda text, _: Refusal(400) if "1" in text else "a"
    path = table(50)
    done = batch(path, "$text", "--max-failures", "1", "-c", "1")
    assert (done.returncode, len(model.asked)) == (1, 1)
    assert done.stderr.endswith("Error: the limit of failed rows, 1, is reached\n")

    model.asked.clear()
    done = batch(path, "$text", "--max-tokens", "40", "-c", "1")  # 14 a row.
    assert (done.returncode, len(model.asked)) == (1, 4)
    assert done.stderr.endswith("Error: the limit of tokens, 40, is reached\n")
