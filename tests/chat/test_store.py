"""llm's log: whatever many processes write at once is there, or its loss is told."""

import pytest

from tests import llm_process, scripted_server
from tests.four_ways import answer, serving

AT_ONCE = 8
LOCKED = "sqlite3.OperationalError: database is locked"


@pytest.mark.parametrize(
    "existing",
    [pytest.param(False, marks=pytest.mark.fresh_llm), True],
    ids=["fresh", "existing"],
)
def test_eight_prompts_at_once(environment, monkeypatch, llm_command, user_path, existing):
    def echo(reply: scripted_server.Reply) -> None:
        answer(reply, f"re: {reply.request.json()['messages'][0]['content']}")

    with serving(monkeypatch, echo):
        if existing:
            llm_command("-m", "gemini-3.5-flash", "before")
        processes = [
            llm_process.start("-m", "gemini-3.5-flash", f"prompt {number}.")
            for number in range(AT_ONCE)
        ]
        ended = []
        for process in processes:
            with process:
                ended.append((process.stderr.read(), process.wait()))

    # Read as it is: eight first uses at once can leave llm a database that it cannot read itself.
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
