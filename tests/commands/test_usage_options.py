"""Prices, options and databases of `llm evolink usage`, valid and invalid."""

import json

import pytest

from generated_client import FORMER_MODELS, MODELS

NAMES = ", ".join((*MODELS, *FORMER_MODELS))


def test_prices_are_kept_in_a_file(log, as_json, usage, user_path):
    details = {
        "prompt_tokens_details": {"cached_tokens": 400, "image_tokens": 258},
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    log(tokens=(1_000_000, 1_000_000), details=details)
    log(tokens=(5, 5), model="gpt-4o-mini")
    prices = {"gemini-3.5-flash": {"in": 1, "out": 2}}
    (user_path / "evolink-prices.json").write_text(json.dumps(prices))

    assert as_json()[1]["cost"] == 3
    assert as_json("--price-cached", "0")[1]["cost"] == 2.9996
    assert as_json("--price-in", "3")[1]["cost"] == 5
    assert [row["cost"] for row in as_json("--all", "--by", "model")[0]] == [3, None]
    done = usage("--all", "--by", "model")
    assert done.stdout.splitlines()[2].split() == (
        ["gpt-4o-mini", "1", "5", "5", "0", "0", "0", "1,000", "1,000", "?"]
    )
    assert done.stderr == "Not in the cost, because they have no price: gpt-4o-mini\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", 'it is not like {"MODEL": {"in": 1, "out": 2, "cached": 0.5}}'),
        ('{"m": 1}', 'it is not like {"MODEL": {"in": 1, "out": 2, "cached": 0.5}}'),
        (
            '{"m": {"in": "1", "out": 2}}',
            'it is not like {"MODEL": {"in": 1, "out": 2, "cached": 0.5}}',
        ),
        ('{"m": {"in": 1}}', 'm needs "in" and "out", and may have "cached"'),
        ('{"m": {"in": 1, "out": 2, "cache": 0}}', 'm needs "in" and "out", and may have "cached"'),
        ('{"m": {"in": -1, "out": 2}}', "m: in is not a price"),
        ('{"m": {"in": 1, "out": NaN}}', "m: out is not a price"),
        ('{"m": {"in": true, "out": 2}}', "m: in is not a price"),
    ],
)
def test_an_invalid_price_file_is_named(database, usage, user_path, text, reason):
    path = user_path / "evolink-prices.json"
    path.write_text(text)

    done = usage()

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {path} cannot be used: {reason}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "--csv"], "--json, --csv and --html exclude each other"),
        (["-m", "x", "--all"], "--model and --all exclude each other"),
        (["--price-in", "1"], "cost needs both --price-in and --price-out"),
        (["--price-cached", "1"], "cost needs both --price-in and --price-out"),
        (["--price-in", "-1"], "Invalid value for '--price-in': '-1' is not a price"),
        (["--price-out", "nan"], "Invalid value for '--price-out': 'nan' is not a price"),
        (["--price-out", "a"], "Invalid value for '--price-out': 'a' is not a price"),
        (
            ["--since", "tomorrow"],
            "Invalid value for '--since': 'tomorrow' is not a date such as 2026-11-23, "
            "today or yesterday, nor 7d or 24h",
        ),
        (
            ["--until", f"{10**12}d"],
            f"Invalid value for '--until': '{10**12}d' is not a date such as 2026-11-23, "
            "today or yesterday, nor 7d or 24h",
        ),
        (["--since", "2026-11-21", "--until", "2026-11-20"], "--since is not before --until"),
    ],
)
def test_invalid_options_are_reported_in_one_line(database, usage, arguments, message):
    done = usage(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {message}"


@pytest.mark.parametrize(
    "option", ["--since", "--until", "-m / --model", "--html", "-d / --database"]
)
def test_an_empty_value_is_refused(database, usage, option):
    names = option.split(" / ")

    done = usage(names[-1], "")

    assert (done.returncode, done.stdout) == (2, "")
    shown = " / ".join(map(repr, names))
    assert done.stderr.endswith(f"Error: Invalid value for {shown}: it is empty\n")


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ([], f"No prompts of {NAMES} are logged; --all counts every model"),
        (
            ["-m", "a", "-m", "b", "--since", "2026-11-21"],
            "No prompts of a, b are logged in that time; --all counts every model",
        ),
        (["--all", "--since", "2999-01-01"], "No prompts are logged in that time"),
    ],
)
def test_nothing_found(log, usage, arguments, note):
    log(model="gpt-4o-mini")

    assert (usage(*arguments).stdout, usage(*arguments).stderr) == ("", note + "\n")
    done = usage(*arguments, "--json")
    counts = ["prompts", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"]
    counts += ["image_tokens", "unknown_usage"]
    nothing = dict.fromkeys(counts, 0)
    nothing |= dict.fromkeys(["duration_ms_p50", "duration_ms_p95", "cost"])
    assert json.loads(done.stdout) == {
        "rows": [],
        "total": nothing,
        "other_servers": {**nothing, "urls": []},
    }
    assert done.returncode == 0
    assert usage(*arguments, "--csv").stdout == f"period,{','.join(nothing)}\n"


def test_no_database(usage, user_path, tmp_path):
    done = usage()
    assert done.returncode == 1
    assert done.stderr == f"Error: No log database at {user_path}/logs.db: run a prompt first\n"

    (user_path / "logs-off").touch()
    done = usage("-d", str(tmp_path / "other.db"))
    assert done.stderr == f"Error: No log database at {tmp_path}/other.db: run a prompt first\n"
    assert not (tmp_path / "other.db").exists()


def test_logging_off_is_noted(log, usage, user_path):
    log()
    (user_path / "logs-off").touch()

    assert usage().stderr == (
        "Logging is off, so new prompts are not counted; turn it on with: llm logs on\n"
    )


def test_not_a_log_database(usage, tmp_path):
    text, empty = tmp_path / "text.db", tmp_path / "empty.db"
    text.write_text("Pelicans are large birds. " * 100)
    empty.touch()

    assert (
        usage("-d", str(text)).stderr == f"Error: {text} cannot be read: file is not a database\n"
    )
    assert usage("-d", str(empty)).stderr == f"Error: {empty} is not a log database of llm\n"
