"""Compare `llm evolink usage` over a log of a million turns with a plain SQL query of its sums.

Usage: .venv/bin/python tests/bench/usage.py [TURNS]
"""

import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import sqlite_utils
from llm.migrations import migrate

from llm_evolink.commands.usage.report import report

RUNS = 5
BARE = """
    select date(datetime_utc, 'localtime'), count(*), sum(input_tokens), sum(output_tokens),
        sum(json_extract(token_details, '$.prompt_tokens_details.cached_tokens')),
        sum(json_extract(token_details, '$.completion_tokens_details.reasoning_tokens')),
        sum(json_extract(token_details, '$.prompt_tokens_details.image_tokens'))
    from turns where model = 'gemini-3.5-flash' group by 1
"""


def turns(count: int) -> Iterator[dict[str, object]]:
    """Yield a year of turns as this plugin logs them, one in fifty without usage."""
    chance = random.Random(1)
    start = datetime(2025, 11, 1, tzinfo=UTC)
    for number in range(count):
        tokens, answer = chance.randrange(5, 20_000), chance.randrange(5, 2_000)
        prompt_details = {"text_tokens": tokens}
        answer_details = {"text_tokens": answer}
        if number % 3 == 0:
            prompt_details["cached_tokens"] = tokens // 2
        if number % 10 == 0:
            prompt_details["image_tokens"] = 258
        if number % 2 == 0:
            answer_details["reasoning_tokens"] = answer // 2
        details = {
            "prompt_tokens_details": prompt_details,
            "completion_tokens_details": answer_details,
        }
        usage = {"prompt_tokens": tokens, "completion_tokens": answer, **details}
        head = {"id": f"chatcmpl-{number:020}", "model": "gemini-3.5-flash", "created": number}
        log = {**head, "finish_reason": "stop", "request_id": "r" * 24, "usage": usage}
        known = number % 50
        yield {
            "id": f"{number:026}",
            "thread_id": f"{number // 8:026}",
            "tip_message_hash": f"b2:{number:032}",
            "model": "gemini-3.5-flash",
            "resolved_model": "gemini-3.5-flash",
            "options_json": "{}",
            "input_tokens": tokens if known else None,
            "output_tokens": answer if known else None,
            "token_details": json.dumps(details) if known else None,
            "duration_ms": int(chance.lognormvariate(8, 0.7)),
            "datetime_utc": (start + timedelta(days=365) * (number / count)).isoformat(),
            "response_json": json.dumps(log),
        }


def make(path: Path, count: int) -> None:
    db = sqlite_utils.Database(path)
    migrate(db)
    db["turns"].insert_all(turns(count), batch_size=10_000)
    db.close()


def measure(what: str, path: Path) -> tuple[float, float]:
    """Return the seconds and the peak memory in MB of a separate process."""
    done = subprocess.run(
        [sys.executable, __file__, what, str(path)], check=True, capture_output=True, text=True
    )
    seconds, memory = done.stdout.split()
    return float(seconds), float(memory)


def run(what: str, path: Path) -> None:
    start = time.perf_counter()
    if what == "bare":
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True).execute(BARE).fetchall()
    else:
        report(path)
    seconds = time.perf_counter() - start
    click.echo(f"{seconds} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}")


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for size in (count // 10, count):
            path = Path(folder) / f"{size}.db"
            make(path, size)
            figures = [(measure("bare", path), measure("report", path)) for _ in range(RUNS)]
            bare = statistics.median(one[0] for one, _ in figures)
            ours = statistics.median(one[0] for _, one in figures)
            memory = max(one[1] for _, one in figures)
            click.echo(
                f"{size:,} turns: bare query {bare:.2f} s, report {ours:.2f} s, "
                f"ratio {ours / bare:.2f}, peak memory {memory:.0f} MB"
            )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) == 2 else 1_000_000)
