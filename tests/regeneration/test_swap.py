"""Replacing the client and the files of openapi/ together."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from regeneration import swap
from regeneration.swap import JOURNAL, replace, scratch_folder, undo_interrupted

from tests.llm_process import run_forked

NOTE = "a run that was killed is undone: the files are as they were before it"
NEW = {"overlays/a.yaml": b"new", "SOURCE.toml": b"new", "added.yaml": b"new"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path in ("client/openapi.json", "openapi/SOURCE.toml", "openapi/overlays/a.yaml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("old")
    return tmp_path


def replace_all(project: Path) -> None:
    with scratch_folder(project) as scratch:
        (scratch / "client").mkdir()
        (scratch / "client/openapi.json").write_text("new")
        replace(project / "openapi", NEW, scratch / "client", project / "client")


def test_everything_is_replaced(project: Path, files) -> None:
    replace_all(project)
    assert files(project) == {
        "client/openapi.json": b"new",
        "openapi/SOURCE.toml": b"new",
        "openapi/added.yaml": b"new",
        "openapi/overlays/a.yaml": b"new",
    }


def stop_at_rename(number: int, stop: Callable[[], object]) -> Callable[[Path, Path], Path]:
    """Return Path.rename that stops before its call of this number, from 0."""
    rename = Path.rename
    count = 0

    def stopping(self: Path, target: Path) -> Path:
        nonlocal count
        if count == number:
            stop()
        count += 1
        return rename(self, target)

    return stopping


@pytest.mark.parametrize("number", range(8))
def test_a_failure_puts_everything_back(
    project: Path, monkeypatch: pytest.MonkeyPatch, number: int, files
) -> None:
    def fail() -> None:
        monkeypatch.undo()
        raise OSError

    before = files(project)
    monkeypatch.setattr(Path, "rename", stop_at_rename(number, fail))
    with pytest.raises(OSError, match=r"^$"):
        replace_all(project)
    assert files(project) == before


@pytest.mark.parametrize("number", range(9))
def test_a_kill_at_any_rename_is_undone_by_the_next_run(project: Path, number: int, files) -> None:
    before = files(project)

    def killed() -> None:
        swap.Path.rename = stop_at_rename(  # type: ignore[method-assign]
            number, lambda: os.kill(os.getpid(), signal.SIGKILL)
        )
        replace_all(project)

    # Renames: 1 of the journal, 2 of each file that was there, 1 of the one that was not.
    killed_by = run_forked(killed)
    assert killed_by == (signal.SIGKILL if number < 8 else 0)
    notes = undo_interrupted([project, project / "openapi"])
    assert notes == ([NOTE] if 0 < number < 8 else [])
    assert undo_interrupted([project, project / "openapi"]) == []
    assert list(project.rglob(".regenerate-*")) == []
    after = files(project)
    assert after == before if number < 8 else set(after.values()) == {b"new"}


def test_a_kill_while_a_run_is_undone(project: Path, files) -> None:
    before = files(project)
    scratch = project / ".regenerate-x"
    (scratch / "client.old").mkdir(parents=True)
    (project / "client/openapi.json").rename(scratch / "client.old/openapi.json")
    (project / "client").rename(scratch / "client")
    (scratch / JOURNAL).write_text(json.dumps([[f"{scratch}/client", f"{project}/client"]]))
    assert undo_interrupted([project]) == [NOTE]
    assert files(project) == before


def test_the_folder_of_a_living_run_is_left_alone(project: Path) -> None:
    with scratch_folder(project) as scratch:
        (scratch / "file").write_text("x")
        assert undo_interrupted([project]) == []
        assert (scratch / "file").exists()
    assert not scratch.exists()
