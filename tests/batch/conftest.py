"""Fixtures of the tests of batches: a model server, a prepared state file, the command."""

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_evolink.batch import BatchError, Result, ask, retry
from llm_evolink.batch.state import State
from tests.scripted_server import Model, serving

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def model(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """A server that answers "answer to PROMPT", unless the test sets `respond`."""
    model = Model(lambda text, _: f"answer to {text}")
    with serving(monkeypatch, model.handle):
        yield model


@pytest.fixture(autouse=True)
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "BACKOFF", 0.0)


@pytest.fixture(scope="session")
def _migrated_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("state") / "state.db"
    State(path).close()
    return path


@pytest.fixture
def database(_migrated_state: Path, tmp_path: Path) -> Path:
    """The path of a state file without rows: creating one takes a tenth of a second."""
    return Path(shutil.copy(_migrated_state, tmp_path / "state.db"))


@pytest.fixture
def read(database: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """Return the rows of a query of the state file."""

    def rows_of(query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(query).fetchall()

    return rows_of


@pytest.fixture
def rows() -> Callable[..., Iterator[dict[str, str]]]:
    """Yield rows: their ids from `start`, and texts."""

    def numbered(count: int, start: int = 0) -> Iterator[dict[str, str]]:
        for number in range(start, start + count):
            yield {"id": str(number), "text": f"row {number}"}

    return numbered


@pytest.fixture
def asked(
    database: Path, rows: Callable[..., Iterator[dict[str, str]]]
) -> Callable[..., tuple[dict[str, Result], str | None]]:
    """Ask rows, or so many; return the results by id, and the error that ended the run early."""

    def run(
        given: int | Iterable[dict[str, Any]], prompt: str = "$text", **options: Any
    ) -> tuple[dict[str, Result], str | None]:
        results: dict[str, Result] = {}
        table = rows(given) if isinstance(given, int) else given
        try:
            for result in ask(table, prompt, database=database, **options):
                assert result.id not in results
                results[result.id] = result
        except BatchError as error:
            return results, str(error)
        return results, None

    return run


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., str]:
    """Write a table of reviews: their ids from 1, and texts."""

    def write(count: int = 5, name: str = "reviews.csv") -> str:
        path = tmp_path / name
        rows = "".join(f'{number},"review {number}, good"\n' for number in range(1, count + 1))
        path.write_text(f"id,text\n{rows}")
        return str(path)

    return write


@pytest.fixture
def answers() -> Callable[[subprocess.CompletedProcess[str]], list[Any]]:
    """Return the JSON rows that a command printed."""
    return lambda done: [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def batch(llm_in_process: Run, database: Path) -> Run:
    """Run `llm evolink batch` with a prepared state file."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return llm_in_process("evolink", "batch", *arguments, "-d", str(database))

    return run
