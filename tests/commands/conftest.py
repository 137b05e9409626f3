"""Fixtures of the tests of usage and doctor."""

import json
import time

import pytest
import sqlite_utils

from llm_evolink.commands.doctor import checks
from llm_evolink.connection import settings
from tests.scripted_server import UNREACHABLE


@pytest.fixture
def database(empty_log):
    """An empty log, made by llm's migrations."""
    db = sqlite_utils.Database(empty_log)
    yield db
    db.close()


@pytest.fixture
def log(database):
    """Log a prompt: a row of turns, or of another table; returns its id."""
    count = iter(range(1_000_000))

    def insert(at="2026-11-20T12:00:00.123456+00:00", tokens=(10, 5), table="turns", **values):
        details = values.pop("details", None)
        if server := values.pop("server", None):
            values["response_json"] = json.dumps({"id": "1", "server": server})
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
def time_zone(monkeypatch):
    """Set the time zone of the process until the test ends."""

    def enter(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield enter
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def usage(llm_in_process):
    """Run `llm evolink usage` in a time zone and return what it printed."""

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


@pytest.fixture
def two_days(log):
    """Log three prompts of two days, and one of another model."""
    details = {
        "prompt_tokens_details": {"cached_tokens": 400, "text_tokens": 742, "image_tokens": 258},
        "completion_tokens_details": {"reasoning_tokens": 100, "text_tokens": 50},
    }
    log("2026-11-20T23:59:59.999999+00:00", (1000, 150), details=details, duration_ms=2000)
    log("2026-11-21T00:00:00+00:00", (500_000, 50_000), duration_ms=3000)
    log("2026-11-21T08:00:00.5+00:00", None, duration_ms=4000)
    log("2026-11-21T09:00:00+00:00", (1, 1), model="gpt-4o-mini")


@pytest.fixture
def doctor_environment(environment, monkeypatch):
    """An environment with the default retries and time-outs, and UNREACHABLE as server."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("EVOLINK_MAX_RETRIES")
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)


@pytest.fixture
def findings():
    """Run doctor's checks; return status and message of each finding of a check."""

    def run(check):
        return [(each.status, each.message) for each in checks.examine() if each.check == check]

    return run


@pytest.fixture
def store(user_path):
    """Write a file in llm's user folder."""

    def write(name, content):
        user_path.mkdir(exist_ok=True)
        (user_path / name).write_text(content)

    return write


@pytest.fixture
def documented_servers(doctor_environment, monkeypatch):
    """Replace the servers of the document."""

    def name(*urls):
        monkeypatch.delenv("EVOLINK_BASE_URL")
        monkeypatch.setattr(settings, "SERVERS", urls)

    return name
