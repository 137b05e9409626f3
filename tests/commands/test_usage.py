"""`llm evolink usage`: run as a person would, over databases that llm's own code made."""

import csv
import json
import re
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlite_utils

from llm_evolink.commands.usage.output import as_table
from llm_evolink.commands.usage.report import report

KEYS = [
    "prompts",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "image_tokens",
    "unknown_usage",
    "duration_ms_p50",
    "duration_ms_p95",
    "cost",
]


@pytest.fixture
def database(empty_log):
    """An empty log, made by llm's migrations."""
    db = sqlite_utils.Database(empty_log)
    yield db
    db.close()


@pytest.fixture
def log(database):
    """Log a prompt: a row of turns, or with `table` of responses."""
    count = iter(range(1_000_000))

    def insert(at="2026-11-20T12:00:00.123456+00:00", tokens=(10, 5), table="turns", **values):
        details = values.pop("details", None)
        row = {
            "id": f"id{next(count)}",
            "model": "gemini-3.5-flash",
            "datetime_utc": at,
            "input_tokens": tokens and tokens[0],
            "output_tokens": tokens and tokens[1],
            "duration_ms": 1000,
            "token_details": details if isinstance(details, str | None) else json.dumps(details),
            **values,
        }
        database[table].insert(row)
        return row["id"]

    return insert


@pytest.fixture
def usage(llm_in_process):
    """Run `llm evolink usage` in a time zone; returns what it did."""

    def run(*arguments, tz="UTC", width=200):
        env = {"TZ": tz, "COLUMNS": str(width)}
        return llm_in_process("evolink", "usage", *arguments, env=env)

    return run


@pytest.fixture
def as_json(usage):
    """Run it with --json and return the rows and the total."""

    def run(*arguments, **settings):
        done = usage(*arguments, "--json", **settings)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        return found["rows"], found["total"]

    return run


def test_real_prompts(sandbox, llm_command, usage, as_json):
    for prompt in ("hello", "What is a pelican?"):
        llm_command("-m", "gemini-3.5-flash", prompt)

    (row,), total = as_json()

    today = datetime.now(UTC).date().isoformat()
    assert list(row) == ["period", *KEYS]
    assert {"period": today, **total} == row
    assert (row["prompts"], row["input_tokens"], row["output_tokens"]) == (2, 7, 38)
    assert (row["unknown_usage"], row["cost"]) == (0, None)
    assert 0 <= row["duration_ms_p50"] <= row["duration_ms_p95"]
    assert re.fullmatch(
        r"day +prompts  input  output  p50 ms  p95 ms\n"
        rf"{today} +2 +7 +38 +[\d,]+ +[\d,]+  █{{20}}\n"
        r"total +2 +7 +38 +[\d,]+ +[\d,]+\n",
        usage().stdout,
    )


DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 400, "text_tokens": 742, "image_tokens": 258},
    "completion_tokens_details": {"reasoning_tokens": 100, "text_tokens": 50},
}


@pytest.fixture
def two_days(log):
    log("2026-11-20T23:59:59.999999+00:00", (1000, 150), details=DETAILS, duration_ms=2000)
    log("2026-11-21T00:00:00+00:00", (500_000, 50_000), duration_ms=3000)
    log("2026-11-21T08:00:00.5+00:00", None, duration_ms=4000)
    log("2026-11-21T09:00:00+00:00", (1, 1), model="gpt-4o-mini")


PRICES = ["--price-in", "1", "--price-out", "10", "--price-cached", "0.25"]


def test_the_table(two_days, usage):
    done = usage(*PRICES)

    assert done.stdout == (
        "day         prompts    input  output  cached  reasoning  image  unknown  p50 ms  p95 ms"
        "    cost\n"
        "2026-11-20        1    1,000     150     400        100    258        0   2,000   2,000"
        "  0.0022  ▏\n"
        "2026-11-21        2  500,000  50,000       0          0      0        1   3,500   3,950"
        "  1.0000  ████████████████████\n"
        "total             3  501,000  50,150     400        100    258        1   3,000   3,900"
        "  1.0022\n"
    )
    assert done.stderr == "The server did not say all that it used for 1 of the prompts\n"


def test_json(two_days, as_json):
    rows, total = as_json(*PRICES)

    assert [list(row.values()) for row in rows] == [
        ["2026-11-20", 1, 1000, 150, 400, 100, 258, 0, 2000, 2000, 0.0022],
        ["2026-11-21", 2, 500_000, 50_000, 0, 0, 0, 1, 3500, 3950, 1.0],
    ]
    assert total == dict(
        zip(KEYS, [3, 501_000, 50_150, 400, 100, 258, 1, 3000, 3900, 1.0022], strict=True)
    )


def test_csv(two_days, usage):
    assert usage("--csv", "--price-in", "1", "--price-out", "10").stdout == (
        f"period,{','.join(KEYS)}\n"
        "2026-11-20,1,1000,150,400,100,258,0,2000,2000,0.0025\n"
        "2026-11-21,2,500000,50000,0,0,0,1,3500,3950,1.0\n"
    )


def test_unknown_is_never_zero(log, usage, as_json):
    log(tokens=None, duration_ms=None)
    (row,), total = as_json()
    assert list(total.values()) == [1, None, None, None, None, None, 1, None, None, None]
    assert {"period": "2026-11-20", **total} == row
    assert usage("--price-in", "1", "--price-out", "1").stdout == (
        "day         prompts  input  output  unknown\n"
        "2026-11-20        1      ?       ?        1\n"
        "total             1      ?       ?        1\n"
    )

    log(tokens=(7, None), details=DETAILS)
    _, total = as_json("--price-in", "1", "--price-out", "1")
    assert list(total.values()) == [2, 7, None, 400, None, 258, 2, 1000, 1000, 7e-06]


def test_a_known_prompt_of_nothing_has_no_bar(log, usage):
    log(tokens=(0, 0))

    assert usage().stdout.splitlines()[1] == "2026-11-20        1      0       0   1,000   1,000"


@pytest.mark.parametrize(
    ("details", "counts"),
    [
        (None, [0, 0, 0]),
        ("{not JSON", [0, 0, 0]),
        ("[1]", [0, 0, 0]),
        ({"prompt_tokens_details": None}, [0, 0, 0]),
        ({"cachedContentTokenCount": 3, "thoughtsTokenCount": 2}, [3, 2, 0]),
        (
            {
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 1},
            },
            [4, 1, 0],
        ),
        (DETAILS, [400, 100, 258]),
    ],
    ids=str,
)
def test_details_in_each_shape(log, as_json, details, counts):
    log(details=details)

    _, total = as_json("--all")

    assert [total[f"{name}_tokens"] for name in ("cached", "reasoning", "image")] == counts
    assert total["unknown_usage"] == 0


def test_malformed_details_do_not_stop_the_report(log, as_json):
    log(details="{not JSON")
    log(details=DETAILS)

    _, total = as_json()

    assert (total["prompts"], total["cached_tokens"]) == (2, 400)


@pytest.mark.parametrize(
    ("tz", "arguments", "days"),
    [
        ("Asia/Seoul", [], {"2026-03-08": 1, "2026-03-09": 2}),
        ("America/New_York", [], {"2026-03-07": 1, "2026-03-08": 2}),
        ("Asia/Seoul", ["--utc"], {"2026-03-08": 2, "2026-03-09": 1}),
        ("America/New_York", ["--since", "2026-03-08", "--until", "2026-03-08"], {"2026-03-08": 2}),
        ("Asia/Seoul", ["--since", "2026-03-09"], {"2026-03-09": 2}),
        ("Asia/Seoul", ["--until", "2026-03-08"], {"2026-03-08": 1}),
        ("Asia/Seoul", ["--until", "2026-03-08", "--utc"], {"2026-03-08": 2}),
    ],
)
def test_days_are_local(log, as_json, tz, arguments, days):
    # New York's clocks went from 02:00 to 03:00 on 2026-03-08: its midnights are 5, then 4.
    log("2026-03-08T04:59:59.999000+00:00")
    log("2026-03-08T15:00:00+00:00")
    log("2026-03-09T03:59:59.999000+00:00")

    rows, _ = as_json(*arguments, tz=tz)

    assert {row["period"]: row["prompts"] for row in rows} == days


def test_weeks_and_months(log, as_json):
    for day in ("2026-12-27", "2026-12-28", "2026-12-31", "2027-01-03", "2027-01-04"):
        log(f"{day}T12:00:00+00:00")

    weeks, _ = as_json("--by", "week")
    months, _ = as_json("--by", "month")

    assert [(row["period"], row["prompts"]) for row in weeks] == [
        ("2026-W52", 1),
        ("2026-W53", 3),
        ("2027-W01", 1),
    ]
    assert [(row["period"], row["prompts"]) for row in months] == [("2026-12", 3), ("2027-01", 2)]


def test_a_time_ago(log, as_json):
    now = datetime.now(UTC)
    for hours in (1, 25, 24 * 8):
        log((now - timedelta(hours=hours)).isoformat())

    assert as_json("--since", "24h")[1]["prompts"] == 1
    assert as_json("--since", "7d")[1]["prompts"] == 2
    assert as_json("--until", "7d")[1]["prompts"] == 1


def test_an_unknown_time(log, as_json, usage):
    log("")
    log("2026-11-20T12:00:00+00:00")

    assert [row["period"] for row in as_json("--by", "week")[0]] == [None, "2026-W47"]
    assert as_json("--until", "2030-01-01")[1]["prompts"] == 1
    assert usage().stdout.splitlines()[1].startswith("unknown           1 ")


def test_models(log, as_json, usage):
    log(model="gemini-3.5-flash", tokens=(1, 1))
    log(model="gemini/gemini-3.5-flash", resolved_model="gemini-3.5-flash", tokens=(20, 20))
    log(model="gpt-4o-mini", tokens=(300, 300))

    def models(*arguments):
        return [
            (row["model"], row["input_tokens"]) for row in as_json("--by", "model", *arguments)[0]
        ]

    assert models() == [("gemini-3.5-flash", 1)]
    assert models("-m", "evolink/gemini-3.5-flash") == [("gemini-3.5-flash", 1)]
    assert models("-m", "gpt-4o-mini", "-m", "gemini-3.5-flash") == [
        ("gpt-4o-mini", 300),
        ("gemini-3.5-flash", 1),
    ]
    assert models("--all") == [
        ("gpt-4o-mini", 300),
        ("gemini/gemini-3.5-flash", 20),
        ("gemini-3.5-flash", 1),
    ]
    assert usage("--all", "--by", "model").stdout == (
        "model                    prompts  input  output  p50 ms  p95 ms\n"
        "gpt-4o-mini                    1    300     300   1,000   1,000  ████████████████████\n"
        "gemini/gemini-3.5-flash        1     20      20   1,000   1,000  █▍\n"
        "gemini-3.5-flash               1      1       1   1,000   1,000  ▏\n"
        "total                          3    321     321   1,000   1,000\n"
    )


def test_conversations(database, log, as_json, usage):
    database["threads"].insert_all(
        [{"id": "one", "name": "Pelicans\x1b[31m"}, {"id": "two", "name": "鹈鹕和苍鹭"}]
    )
    database["conversations"].insert({"id": "old", "name": "Herons"})
    log(thread_id="one")
    log(thread_id="one", model="gpt-4o-mini")
    log(thread_id="two", tokens=(90, 10))
    log(table="responses", conversation_id="old", tokens=(1, 1))
    log(thread_id=None, tokens=(0, 1))

    rows, _ = as_json("--by", "conversation", "--all")

    assert [(row["conversation"], row["name"], row["prompts"]) for row in rows] == [
        ("two", "鹈鹕和苍鹭", 1),
        ("one", "Pelicans\x1b[31m", 2),
        ("old", "Herons", 1),
        (None, None, 1),
    ]
    assert usage("--by", "conversation", width=80).stdout == (
        "conversation  prompts  input  output  p50 ms  p95 ms\n"
        "two                 1     90      10   1,000   1,000  ███████████  鹈鹕和苍鹭\n"
        "one                 1     10       5   1,000   1,000  █▊           Pelicans [31m\n"
        "old                 1      1       1   1,000   1,000  ▎            Herons\n"
        "unknown             1      0       1   1,000   1,000  ▏\n"
        "total               4    101      17   1,000   1,000\n"
    )
    lines = list(csv.reader(usage("--by", "conversation", "--csv").stdout.splitlines()))
    assert lines[0][:3] == ["conversation", "name", "prompts"]
    assert lines[1][:3] == ["two", "鹈鹕和苍鹭", "1"]


def test_older_history_is_counted_once(log, as_json):
    both = log("2026-11-20T12:00:00+00:00")
    log("2026-11-20T12:00:00+00:00", table="responses", id=both)
    log("2024-11-20T12:00:00.123456", table="responses", tokens=(2, 3), details=DETAILS)

    rows, total = as_json()

    assert [(row["period"], row["input_tokens"]) for row in rows] == [
        ("2024-11-20", 2),
        ("2026-11-20", 10),
    ]
    assert (total["prompts"], total["cached_tokens"]) == (2, 400)


def test_a_log_from_before_turns_and_before_usage(user_path, as_json, tmp_path):
    path = tmp_path / "a log?#100%.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "create table responses (id, model, conversation_id, duration_ms, datetime_utc)"
        )
        connection.execute(
            "insert into responses values ('1', 'gemini-3.5-flash', 'c', 5, '2023-08-01T10:00:00')"
        )
    connection.close()

    rows, total = as_json("-d", str(path), "--by", "conversation")

    assert (rows[0]["conversation"], rows[0]["name"], total["unknown_usage"]) == ("c", None, 1)
    assert total["duration_ms_p50"] == 5


def test_prices_are_kept_in_a_file(log, as_json, usage, user_path):
    log(tokens=(1_000_000, 1_000_000), details=DETAILS)
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
    assert done.stderr == "Not in the cost, for want of a price: gpt-4o-mini\n"


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
def test_a_bad_price_file_is_named(database, usage, user_path, text, reason):
    path = user_path / "evolink-prices.json"
    path.write_text(text)

    done = usage()

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {path} cannot be used: {reason}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "--csv"], "--json and --csv exclude each other"),
        (["-m", "x", "--all"], "--model and --all exclude each other"),
        (["--price-in", "1"], "cost needs both --price-in and --price-out"),
        (["--price-cached", "1"], "cost needs both --price-in and --price-out"),
        (["--price-in", "-1"], "Invalid value for '--price-in': '-1' is not a price"),
        (["--price-out", "nan"], "Invalid value for '--price-out': 'nan' is not a price"),
        (["--price-out", "a"], "Invalid value for '--price-out': 'a' is not a price"),
        (
            ["--since", "yesterday"],
            "Invalid value for '--since': 'yesterday' is not a date such as 2026-11-23, "
            "nor 7d or 24h",
        ),
        (
            ["--until", f"{10**12}d"],
            f"Invalid value for '--until': '{10**12}d' is not a date such as 2026-11-23, "
            "nor 7d or 24h",
        ),
        (["--since", "2026-11-21", "--until", "2026-11-20"], "--since is not before --until"),
    ],
)
def test_bad_options_are_one_line(database, usage, arguments, message):
    done = usage(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"Error: {message}"


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ([], "No prompts of gemini-3.5-flash are logged; --all counts every model"),
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
    assert json.loads(done.stdout) == {
        "rows": [],
        "total": dict(zip(KEYS, [0, 0, 0, 0, 0, 0, 0, None, None, None], strict=True)),
    }
    assert done.returncode == 0
    assert usage(*arguments, "--csv").stdout == f"period,{','.join(KEYS)}\n"


def test_no_database(usage, user_path, tmp_path):
    done = usage()
    assert done.returncode == 1
    assert done.stderr == f"Error: No log database at {user_path}/logs.db: run a prompt first\n"

    (user_path / "logs-off").touch()
    done = usage("-d", str(tmp_path / "other.db"))
    assert done.stderr == f"Error: No log database at {tmp_path}/other.db: run a prompt first\n"
    assert not (tmp_path / "other.db").exists()


def test_logging_off_is_said(log, usage, llm_command):
    log()
    llm_command("logs", "off")

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


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_it_reads_while_another_process_writes_and_writes_nothing(
    database, log, as_json, user_path, mode
):
    database.conn.execute(f"pragma journal_mode={mode}")
    log()
    path = user_path / "logs.db"
    before = path.read_bytes()
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("begin immediate")
    writer.execute("insert into turns (id, model) values ('mine', 'gemini-3.5-flash')")

    assert as_json()[1]["prompts"] == 1
    assert path.read_bytes() == before

    writer.execute("commit")
    writer.close()
    assert as_json()[1]["prompts"] == 2


def test_it_cannot_write(log, user_path):
    log()
    path = user_path / "logs.db"
    path.chmod(0o400)
    before = path.stat()

    assert report(path).total["prompts"] == 1
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


def test_percentiles_of_many(database, log):
    log()  # so that the table has the columns
    database.execute("delete from turns")
    database.execute(
        """
        with recursive number(n) as (select 0 union all select n + 1 from number where n < 50000)
        insert into turns (id, model, datetime_utc, duration_ms)
        select n, 'gemini-3.5-flash', datetime('2026-01-01', n || ' minutes'), n * 7919 % 50001
        from number
        """
    )
    database.conn.commit()
    path = Path(database.conn.execute("pragma database_list").fetchone()[2])

    total = report(path, by="month", utc=True).total

    assert (total["duration_ms_p50"], total["duration_ms_p95"]) == (25_000, 47_500)


@pytest.mark.parametrize("by", ["day", "conversation"])
def test_no_line_is_wider_than_the_terminal(database, two_days, by):
    database["threads"].insert({"id": "t" * 26, "name": "鹈" * 40})
    database.execute("update turns set thread_id = ?", ["t" * 26])
    database.conn.commit()
    path = Path(database.conn.execute("pragma database_list").fetchone()[2])
    found = report(path, by=by, utc=True)

    for width in range(1, 200):
        lines = as_table(found, width).splitlines()
        assert max(len(line) + line.count("鹈") for line in lines) <= width


def test_bars_go_first_then_columns(two_days, usage):
    def header(width):
        return usage(width=width).stdout.splitlines()[0].split()[1:], "▏" in usage(
            width=width
        ).stdout

    every = ["prompts", "input", "output", "cached", "reasoning", "image", "unknown"]
    assert header(100) == ([*every, "p50", "ms", "p95", "ms"], True)
    assert header(90) == ([*every, "p50", "ms", "p95", "ms"], False)
    assert header(60) == (["prompts", "input", "output", "unknown", "p50", "ms"], True)
    assert header(20) == (["input"], False)


def test_ascii_where_the_terminal_has_no_more(database, log, llm_command):
    database["threads"].insert({"id": "t", "name": "鹈鹕 and a heron"})
    log(thread_id="t")

    env = {"TZ": "UTC", "COLUMNS": "80", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = llm_command("evolink", "usage", "--by", "conversation", env=env)

    assert done.stdout.splitlines()[1] == (
        "t                   1     10       5   1,000   1,000  ########  ?? and a heron"
    )
    assert done.stdout.isascii()
    assert done.stderr == ""
