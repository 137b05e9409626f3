"""Helpers that ask rows, and read what the command printed and the state file holds."""

import json
import sqlite3

from llm_evolink.batch import BatchError, ask


def table(count, start=0):
    return ({"id": str(number), "text": f"row {number}"} for number in range(start, start + count))


def asked(rows, database, prompt="$text", **options):
    """The results by id, and why the run ended early."""
    results = {}
    stopped = None
    try:
        for result in ask(rows, prompt, database=database, **options):
            assert result.id not in results
            results[result.id] = result
    except BatchError as error:
        stopped = str(error)
    return results, stopped


def read(database, query):
    connection = sqlite3.connect(database)
    rows = connection.execute(query).fetchall()
    connection.close()
    return rows


def rows(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def batch_id(done):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Batch ")]
    return line.split()[1].rstrip(":")
