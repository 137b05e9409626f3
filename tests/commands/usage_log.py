"""What the tests of `llm evolink usage` share."""

from pathlib import Path

import sqlite_utils

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
"""The columns of a report after the label of the row."""

DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 400, "text_tokens": 742, "image_tokens": 258},
    "completion_tokens_details": {"reasoning_tokens": 100, "text_tokens": 50},
}
"""Token details as EvoLink reports them."""


def path_of(database: sqlite_utils.Database) -> Path:
    """Return the path of a database's file."""
    return Path(database.conn.execute("pragma database_list").fetchone()[2])
