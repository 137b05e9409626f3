"""Asking the rows of a Daft dataframe on a Ray cluster of two nodes; a worker is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import four_ways, scripted_server
from tests.scripted_server import Model

pytest.importorskip("daft", reason="the extra daft is not installed")
pytest.importorskip("ray", reason="Ray is not installed")

from tests.batch.ray_job import NO_CLUSTER, PARTITIONS

ROWS = 500
KILLED_AT = 100
"""Request at which the worker that sent it is killed."""

FILE_KEY = "sk-of-the-file-0123456789"
JOB_TIMEOUT = 400.0
STARTS = 3
"""Attempts to start a cluster, which a busy machine can fail."""


@pytest.fixture
def folder():
    """A folder for Ray, with a path short enough for its sockets; its processes end with it."""
    path = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    yield Path(path)
    end_processes(path)
    shutil.rmtree(path)


def end_processes(folder):
    """Kill the processes of Ray, which have logs open in the folder."""
    while found := {pid for pid, target in open_files() if target.startswith(f"{folder}{os.sep}")}:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def open_files():
    """Yield the id of each process, and the target of each of its open files."""
    for file in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            yield int(file.parts[2]), os.readlink(file)


def process_of(port):
    """The process whose end of a connection on loopback has this port."""
    address = f"0100007F:{port:04X}"
    connections = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    (inode,) = {fields[9] for fields in connections if fields[1] == address}
    return next(pid for pid, target in open_files() if target == f"socket:[{inode}]")


class KillingModel(Model):
    """Answers prompts, and kills the worker that sends request number KILLED_AT."""

    def __init__(self):
        super().__init__(lambda text, _: f"answer to {text}")
        self.received = 0
        self.killed = threading.Event()

    def handle(self, reply):
        with self.lock:
            self.received += 1
            number = self.received
        if number == KILLED_AT:
            try:
                os.kill(process_of(reply.client_port), signal.SIGKILL)
            finally:
                self.killed.set()
        elif number > KILLED_AT:
            self.killed.wait()  # Both workers have requests in flight until then.
        super().handle(reply)


def run_job(folder, *arguments):
    """Run ray_job.py; return what it printed."""
    environment = {
        **os.environ,
        "DAFT_ANALYTICS_ENABLED": "0",
        "DAFT_PROGRESS_BAR": "0",
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    command = [sys.executable, Path(__file__).with_name("ray_job.py"), *arguments]
    for _ in range(STARTS):
        files = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(command, env=environment, text=True, **files) as process:
            try:
                out, err = process.communicate(timeout=JOB_TIMEOUT)
            finally:
                end_processes(folder)
        if process.returncode != NO_CLUSTER:
            break
    assert process.returncode == 0, err
    return out + err


def test_a_killed_worker_loses_no_row_and_no_log_holds_the_key(
    environment, monkeypatch, tmp_path, folder, capsys
):
    (tmp_path / "key").write_text(FILE_KEY)
    model = KillingModel()
    with scripted_server.serve(model.handle) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        printed = run_job(folder, str(ROWS), tmp_path / "key", tmp_path / "results")

    first, second, start_seconds, seconds = json.loads((tmp_path / "results").read_text())
    for rows, numbers in ((first, range(ROWS)), (second, range(ROWS, ROWS + PARTITIONS))):
        assert sorted(number for number, _ in rows) == list(numbers)
        assert {(result["answer"], result["error"]) for _, result in rows} == {
            (f"answer to row {number}", None) for number in numbers
        }
    asked_again = sum(model.counts.values()) - ROWS - PARTITIONS
    assert 1 <= asked_again <= ROWS // PARTITIONS  # The rows of the worker's partition.
    assert {request.headers["authorization"] for request in server.requests} == {
        f"Bearer {four_ways.KEY}",
        f"Bearer {FILE_KEY}",
    }
    files = [path for path in folder.rglob("*") if path.is_file()]
    # Where Ray writes the variables of a runtime_env.
    assert "runtime_env_agent.log" in {path.name for path in files}
    texts = {str(path): path.read_bytes() for path in files} | {"output": printed.encode()}
    for key in (four_ways.KEY, FILE_KEY):
        assert [name for name, text in texts.items() if key.encode() in text] == []
    with capsys.disabled():
        sys.stdout.write(
            f"\n{ROWS} rows in {seconds:.1f} s on 2 nodes that started in {start_seconds:.1f} s, "
            f"a worker killed: {asked_again} rows asked again\n"
        )
