"""A batch against a real server with a rate limit, in real time: run with --fuzz."""

import json
import subprocess
import sys
from pathlib import Path

from tests import llm_process


def test_a_rate_limit_is_used_with_few_refusals(environment, monkeypatch, tmp_path, request):
    """1,000 rows at a server of 100 requests per 2 s; by default 60 at one of 20 per 0.5 s."""
    full = request.config.getoption("fuzz")
    count, allowed, window = (1000, 100, 2.0) if full else (60, 20, 0.5)
    table = tmp_path / "rows.csv"
    table.write_text("id,text\n" + "".join(f"{number},row {number}\n" for number in range(count)))
    server = subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).with_name("rate_server.py")),
            str(allowed),
            str(window),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with server:
        monkeypatch.setenv(
            "EVOLINK_BASE_URL", f"http://127.0.0.1:{server.stdout.readline()}".strip()
        )
        command = ["evolink", "batch", str(table), "$text", "-c", "64"]
        done = llm_process.run(*command)
        server.terminate()
        counts = json.loads(server.stdout.readline())

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == count
    assert counts["answered"] == count
    assert counts["connections"] <= 64 + counts["refused"], counts
    if full:
        assert counts["refused"] <= 0.15 * count
        assert count / counts["seconds"] >= 0.85 * allowed / window, counts
