"""Fixtures of the tests of batches: a model server, a prepared state file, the command."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llm_evolink.batch import retry
from llm_evolink.batch.state import State
from tests import scripted_server
from tests.batch.model_server import Model

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def model(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Model]:
    """A server that answers "answer to PROMPT", unless the test sets `respond`."""
    model = Model(lambda text, _: f"answer to {text}")
    with scripted_server.serve(model.handle) as server:
        model.connections = lambda: server.connections
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
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
def table(tmp_path: Path) -> Callable[..., str]:
    """Write a table of reviews: their ids from 1, and texts."""

    def write(count: int = 5, name: str = "reviews.csv") -> str:
        path = tmp_path / name
        rows = "".join(f'{number},"review {number}, good"\n' for number in range(1, count + 1))
        path.write_text(f"id,text\n{rows}")
        return str(path)

    return write


@pytest.fixture
def batch(llm_in_process: Run, database: Path) -> Run:
    """Run `llm evolink batch` with a prepared state file; return exit code, rows and stderr."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return llm_in_process("evolink", "batch", *arguments, "-d", str(database))

    return run
