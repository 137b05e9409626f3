"""llm's log: whatever many processes write at once is there, or its loss is told."""

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
            *frames, told = stderr.splitlines()
            migrating = any("in migrate" in line for line in frames)  # Two at once; it says why.
            assert (status, told == LOCKED or (migrating and not existing)) == (1, True), stderr
    if existing:
        assert any(status == 0 for *_, status in ended)


def test_a_prompt_that_is_not_to_be_logged_is_not(environment, monkeypatch, llm_command, user_path):
    with serving(monkeypatch, answer):
        llm_command("-m", "gemini-3.5-flash", "before")
        before = (user_path / "logs.db").read_bytes()
        done = llm_command("-m", "gemini-3.5-flash", "hi", "--no-log")

    assert (done.stdout, done.stderr, done.returncode) == ("hi\n", "", 0)
    assert (user_path / "logs.db").read_bytes() == before
