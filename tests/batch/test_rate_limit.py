"""A batch against a real server with a rate limit, in real time."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import llm_process


@pytest.fixture
def asked(environment, monkeypatch, tmp_path) -> Callable[..., dict[str, Any]]:
    """Ask rows at a server of so many requests in a window of seconds; return its counts."""

    def ask(count: int, allowed: int, window: float) -> dict[str, Any]:
        table = tmp_path / "rows.csv"
        rows = "".join(f"{number},row {number}\n" for number in range(count))
        table.write_text(f"id,text\n{rows}")
        program = Path(__file__).with_name("rate_server.py")
        command = [sys.executable, str(program), str(allowed), str(window)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = server.stdout.readline().strip()
                monkeypatch.setenv("EVOLINK_BASE_URL", f"http://127.0.0.1:{port}")
                done = llm_process.run("evolink", "batch", str(table), "$text", "-c", "64")
            finally:
                server.terminate()
            counts = json.loads(server.stdout.readline())
        assert done.returncode == 0
        assert len(done.stdout.splitlines()) == count
        return counts

    return ask


def test_each_row_is_answered_once_under_a_rate_limit(asked):
    counts = asked(60, 20, 0.5)

    assert counts["answered"] == 60
    assert counts["connections"] <= 64 + counts["refused"], counts


def test_a_rate_limit_is_used_with_few_refusals(asked, request):
    if not request.config.getoption("fuzz"):
        pytest.skip("a rate limit in real time is used with --fuzz")
    counts = asked(1000, 100, 2.0)

    assert counts["answered"] == 1000
    assert counts["refused"] <= 150, counts
    assert 1000 / counts["seconds"] >= 0.85 * 100 / 2.0, counts
