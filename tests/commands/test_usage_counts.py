"""What `llm evolink usage` counts: tokens, days, models, conversations and servers."""

import csv
import json
import sqlite3
from datetime import UTC, datetime

import pytest

from llm_evolink.commands.usage.log import Selection
from llm_evolink.commands.usage.period import moment
from llm_evolink.commands.usage.report import report

DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 400, "text_tokens": 742, "image_tokens": 258},
    "completion_tokens_details": {"reasoning_tokens": 100, "text_tokens": 50},
}  # As EvoLink reports them.


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
    # Daylight saving began in New York on 2026-03-08: its midnight was 05:00 UTC, then 04:00.
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


NOW = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "end", "expected"),
    [
        ("24h", False, "2026-11-22T20:30"),
        ("24h", True, "2026-11-22T20:30"),
        ("7d", False, "2026-11-16T20:30"),
        ("2026-11-23", False, "2026-11-22T15:00"),
        ("2026-11-23", True, "2026-11-23T15:00"),
        # In Seoul, it is the 24th.
        ("today", False, "2026-11-23T15:00"),
        ("today", True, "2026-11-24T15:00"),
        ("yesterday", False, "2026-11-22T15:00"),
    ],
)
def test_a_date_or_a_time_ago(time_zone, text, end, expected):
    time_zone("Asia/Seoul")

    assert moment(text, NOW, end=end).isoformat()[:16] == expected


def test_a_date_in_utc():
    assert moment("today", NOW, utc=True).isoformat() == "2026-11-23T00:00:00+00:00"


def test_prompts_of_the_last_hours(log, as_json):
    log("2999-01-01T00:00:00+00:00")
    log("2020-01-01T00:00:00+00:00")

    assert as_json("--since", "7d")[1]["prompts"] == 1
    assert as_json("--until", "7d")[1]["prompts"] == 1


def test_a_prompt_without_a_time(log, as_json, usage):
    log("")
    log("2026-11-20T12:00:00+00:00")

    assert [row["period"] for row in as_json("--by", "week")[0]] == [None, "2026-W47"]
    assert as_json("--until", "2030-01-01")[1]["prompts"] == 1
    assert usage().stdout.splitlines()[1].startswith("unknown           1 ")


def test_each_model_has_a_row(log, as_json, usage):
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
        "model                    prompts  input  output  p50 ms  p95 ms  tokens\n"
        "gpt-4o-mini                    1    300     300   1,000   1,000  ████████████████████\n"
        "gemini/gemini-3.5-flash        1     20      20   1,000   1,000  █▍\n"
        "gemini-3.5-flash               1      1       1   1,000   1,000  ▏\n"
        "total                          3    321     321   1,000   1,000\n"
    )


def test_each_conversation_has_a_row(database, log, as_json, usage):
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
        "conversation  prompts  input  output  p50 ms  p95 ms  tokens       name\n"
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


def test_a_log_from_before_turns_and_before_usage(as_json, tmp_path):
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


def test_percentiles_of_50_000_prompts(database, log, empty_log):
    log()  # Creates the columns.
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

    total = report(empty_log, by="month", selection=Selection(utc=True)).total

    assert (total["duration_ms_p50"], total["duration_ms_p95"]) == (25_000, 47_500)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_the_log_is_read_while_another_process_writes(database, log, as_json, user_path, mode):
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


def test_a_read_only_log_is_not_changed(log, user_path):
    log()
    path = user_path / "logs.db"
    path.chmod(0o400)
    before = path.stat()

    assert report(path).total["prompts"] == 1
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


DIRECT, API, SANDBOX = (
    "https://direct.evolink.ai",
    "https://api.evolink.ai",
    "http://127.0.0.1:8787",
)


def test_prompts_to_other_servers_are_counted_apart(log, usage, as_json):
    log(tokens=(1_000_000, 0), duration_ms=1)  # Logged by 0.1, without a server.
    log(tokens=(2_000_000, 0), duration_ms=2, server=DIRECT)
    log(tokens=(3_000_000, 0), duration_ms=3, server=API)
    log(tokens=(4_000_000, 0), duration_ms=4, server=SANDBOX)
    log("2026-11-21T12:00:00+00:00", (5_000_000, 0), duration_ms=5, server=SANDBOX)
    prices = ["--price-in", "1", "--price-out", "1"]

    done = usage("--json", *prices)
    found = json.loads(done.stdout)
    rows, total = as_json("--by", "server", *prices)

    assert [(row["period"], row["input_tokens"], row["cost"]) for row in found["rows"]] == [
        ("2026-11-20", 6_000_000, 6.0)
    ]
    assert (found["total"]["prompts"], found["total"]["duration_ms_p50"]) == (3, 2)
    other = found["other_servers"]
    assert (other["prompts"], other["input_tokens"], other["cost"]) == (2, 9_000_000, None)
    assert (other["duration_ms_p50"], other["urls"]) == (4, [SANDBOX])
    note = (
        f"2 prompts with 9,000,000 tokens were answered by servers other than EvoLink's ({SANDBOX})"
        ", which are not priced"
    )
    assert done.stderr == f"{note} and are counted apart; see --by server\n"
    assert [(row["server"], row["prompts"], row["cost"]) for row in rows] == [
        (SANDBOX, 2, None),
        (API, 1, 3.0),
        (DIRECT, 1, 2.0),
        (None, 1, 1.0),
    ]
    assert (total["prompts"], total["cost"]) == (5, 6.0)
    assert usage(*prices).stdout.splitlines()[2:] == [
        "total                3  6,000,000       0       2       3  6.0000",
        "other servers        2  9,000,000       0       4       5",
    ]
    assert usage("--by", "server", *prices).stderr == f"{note}\n"


def test_all_prompts_went_to_another_server(log, usage):
    log(server=SANDBOX)

    assert usage().stdout == (
        "day            prompts  input  output  p50 ms  p95 ms\n"
        "total                0      0       0       ?       ?\n"
        "other servers        1     10       5   1,000   1,000\n"
    )


@pytest.mark.parametrize(
    "response_json", [None, "", "{", '{"server": null}', '{"server": NaN}', "[1]", '["server"]']
)
def test_a_response_without_a_server_counts_as_evolinks(log, as_json, response_json):
    log(response_json=response_json)

    assert as_json()[1]["prompts"] == 1


def test_large_counts(log, as_json, usage):
    """The sum of two is more than SQLite's integers hold."""
    large = 2**62
    for _ in range(3):
        log(tokens=(large, large), details=json.dumps(DETAILS).replace("400", str(10**30)))

    for by in ("day", "week", "month", "model", "conversation", "server"):
        (row,), total = as_json("--by", by, "--price-in", "1", "--price-out", "1")
        assert (row["input_tokens"], total["output_tokens"]) == (3 * large, 3 * large)
        assert total["cached_tokens"] == pytest.approx(3 * 10**30)
    assert usage().returncode == 0


def test_added_models_are_counted(log, as_json, user_path):
    (user_path / "evolink-models.json").write_text('{"gpt-9": {}, "old": {"removed": true}}')
    for model in ("gemini-3.5-flash", "evolink/gpt-9", "evolink/old", "gpt-9"):
        log(model=model)
    prices = '{"evolink/gpt-9": {"in": 1, "out": 1}}'
    (user_path / "evolink-prices.json").write_text(prices)

    rows, total = as_json("--by", "model")

    assert {row["model"]: row["cost"] for row in rows} == {
        "gemini-3.5-flash": None,
        "evolink/gpt-9": 0.000015,
        "evolink/old": None,
    }
    assert total["prompts"] == 3
