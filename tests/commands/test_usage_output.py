"""How `llm evolink usage` shows a report: table, JSON, CSV and notes."""

import re

import pytest

from llm_evolink.commands.usage.log import Selection
from llm_evolink.commands.usage.report import report
from llm_evolink.commands.usage.table import as_table

COLUMNS = [
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
EVERY = ["prompts", "input", "output", "cached", "reasoning", "image", "unknown"]
PRICES = ["--price-in", "1", "--price-out", "10", "--price-cached", "0.25"]


def test_prompts_to_the_sandbox(sandbox, usage, as_json, llm_in_process):
    for prompt in ("hello", "What is a pelican?"):
        llm_in_process("-m", "gemini-3.5-flash", prompt)

    (row,), total = as_json("--by", "server")

    assert list(row) == ["server", *COLUMNS]
    assert {"server": sandbox.url, **total} == row
    assert (row["prompts"], row["input_tokens"], row["output_tokens"]) == (2, 7, 38)
    assert (row["unknown_usage"], row["cost"]) == (0, None)
    assert 0 <= row["duration_ms_p50"] <= row["duration_ms_p95"]
    assert re.fullmatch(
        r"server +prompts  input  output  p50 ms  p95 ms  tokens\n"
        rf"{sandbox.url} +2 +7 +38 +[\d,]+ +[\d,]+  █{{20}}\n"
        r"total +2 +7 +38 +[\d,]+ +[\d,]+\n",
        usage("--by", "server").stdout,
    )


def test_the_table(two_days, usage):
    done = usage(*PRICES)

    assert done.stdout == (
        "day         prompts    input  output  cached  reasoning  image  unknown  p50 ms  p95 ms"
        "    cost  cost\n"
        "2026-11-20        1    1,000     150     400        100    258        0   2,000   2,000"
        "  0.0022  ▏\n"
        "2026-11-21        2  500,000  50,000       0          0      0        1   3,500   3,950"
        "  1.0000  ████████████████████\n"
        "total             3  501,000  50,150     400        100    258        1   3,000   3,900"
        "  1.0022\n"
    )
    assert done.stderr == "The server did not report the complete usage of 1 prompts\n"


def test_json(two_days, as_json):
    rows, total = as_json(*PRICES)

    assert [list(row.values()) for row in rows] == [
        ["2026-11-20", 1, 1000, 150, 400, 100, 258, 0, 2000, 2000, 0.0022],
        ["2026-11-21", 2, 500_000, 50_000, 0, 0, 0, 1, 3500, 3950, 1.0],
    ]
    assert total == dict(
        zip(COLUMNS, [3, 501_000, 50_150, 400, 100, 258, 1, 3000, 3900, 1.0022], strict=True)
    )


def test_csv(two_days, usage):
    assert usage("--csv", "--price-in", "1", "--price-out", "10").stdout == (
        f"period,{','.join(COLUMNS)}\n"
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

    details = {
        "prompt_tokens_details": {"cached_tokens": 400, "image_tokens": 258},
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    log(tokens=(7, None), details=details)
    _, total = as_json("--price-in", "1", "--price-out", "1")
    assert list(total.values()) == [2, 7, None, 400, None, 258, 2, 1000, 1000, 7e-06]


def test_a_prompt_with_zero_tokens_has_no_bar(log, usage):
    log(tokens=(0, 0))

    assert usage().stdout.splitlines()[1] == "2026-11-20        1      0       0   1,000   1,000"


@pytest.mark.parametrize("by", ["day", "conversation"])
def test_no_line_is_wider_than_the_terminal(database, two_days, by, empty_log):
    database["threads"].insert({"id": "t" * 26, "name": "鹈" * 40})
    database.execute("update turns set thread_id = ?", ["t" * 26])
    database.conn.commit()
    found = report(empty_log, by=by, selection=Selection(utc=True))

    for width in range(1, 200):
        lines = as_table(found, width).splitlines()
        assert max(len(line) + line.count("鹈") for line in lines) <= width


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (105, [*EVERY, "p50", "ms", "p95", "ms", "tokens"]),
        (90, [*EVERY, "p50", "ms", "p95", "ms"]),
        (60, ["prompts", "input", "output", "unknown", "p50", "ms"]),
        (20, ["input"]),
    ],
)
def test_bars_are_left_out_first_then_columns(two_days, usage, width, header):
    lines = usage(width=width).stdout.splitlines()

    assert lines[0].split() == ["day", *header]
    assert ("█" in lines[2]) is ("tokens" in header)


def test_the_output_for_an_ascii_terminal_is_ascii(log, llm_command):
    log()
    env = {"TZ": "UTC", "COLUMNS": "80", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = llm_command("evolink", "usage", env=env)

    assert "####" in done.stdout
    assert done.stdout.isascii()
    assert (done.stderr, done.returncode) == ("", 0)


def test_characters_that_the_encoding_lacks_are_replaced(database, log, empty_log):
    database["threads"].insert({"id": "t", "name": "鹈鹕 and a heron"})
    log(thread_id="t")

    shown = as_table(report(empty_log, by="conversation"), 80, "ascii")

    assert shown.splitlines()[:2] == [
        "conversation  prompts  input  output  p50 ms  p95 ms  tokens    name",
        "t                   1     10       5   1,000   1,000  ########  ?? and a heron",
    ]
    assert shown.isascii()


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "' =1"),
        ("a\x1b[31m\r\nb", "a [31m  b"),
        ("a = b", "a = b"),
    ],
)
def test_a_csv_cell_is_neither_a_formula_nor_a_control_sequence(database, log, usage, name, cell):
    database["threads"].insert({"id": "t", "name": name})
    log(thread_id="t")

    lines = usage("--by", "conversation", "--csv").stdout.splitlines()

    assert lines[1].split(",")[:3] == ["t", cell, "1"]
