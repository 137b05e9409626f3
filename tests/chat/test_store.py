"""llm's log: prompts of several processes at once are logged, or the command reports an error."""

import pytest

from tests import llm_process, scripted_server
from tests.scripted_server import answer, serving

LOCKED = "sqlite3.OperationalError: database is locked"


# Two are fresh processes: a forked one does not migrate a new database as llm does.
@pytest.mark.parametrize(("count", "existing"), [(2, False), (8, True)], ids=["new", "existing"])
def test_prompts_at_once(environment, monkeypatch, llm_command, user_path, count, existing):
    def echo(reply: scripted_server.Reply) -> None:
        answer(reply, f"re: {reply.request.json()['messages'][0]['content']}")

    with serving(monkeypatch, echo):
        if existing:
            llm_command("-m", "gemini-3.5-flash", "before")
        processes = [
            llm_process.start("-m", "gemini-3.5-flash", f"prompt {number}.", fresh=not existing)
            for number in range(count)
        ]
        ended = []
        for process in processes:
            with process:
                ended.append((process.stderr.read(), process.wait()))

    # Read as bytes: two first uses at once can leave a database that llm itself cannot read.
    logged = (user_path / "logs.db").read_bytes()
    for number, (stderr, status) in enumerate(ended):
        if status == 0:
            assert f"re: prompt {number}.".encode() in logged
        else:
            *frames, message = stderr.splitlines()
            migrating = any("in migrate" in line for line in frames)  # Both create the database.
            assert (status, message == LOCKED or (migrating and not existing)) == (1, True), stderr
    if existing:
        assert any(status == 0 for *_, status in ended)


def test_no_log_writes_nothing(environment, monkeypatch, llm_command, user_path):
    with serving(monkeypatch, answer):
        llm_command("-m", "gemini-3.5-flash", "before")
        before = (user_path / "logs.db").read_bytes()
        done = llm_command("-m", "gemini-3.5-flash", "hi", "--no-log")

    assert (done.stdout, done.stderr, done.returncode) == ("hi\n", "", 0)
    assert (user_path / "logs.db").read_bytes() == before
