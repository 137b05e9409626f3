"""Ctrl-C, and a reader that goes away, in the middle of a stream: real processes."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llm_evolink.chat import AsyncEvolinkChat
from tests import llm_process, scripted_server
from tests.llm_process import TIMEOUT
from tests.scripted_server import serving

HI = {"choices": [{"delta": {"content": "Hi\n"}}]}
PROMPT = ["-m", "gemini-3.5-flash", "hi"]


class Endless:
    """Answers with a stream, or nothing, and waits for the client to go.

    Attributes:
        began: Set when what comes before the wait was sent.
        gone: Set when the client has gone.
    """

    def __init__(self, *, says: bool, goes_on: bool = False) -> None:
        self.says = says
        self.goes_on = goes_on
        self.began = threading.Event()
        self.gone = threading.Event()

    def __call__(self, reply: scripted_server.Reply) -> None:
        if self.says:
            reply.start()
            reply.event(HI)
        self.began.set()
        try:
            while self.goes_on:
                reply.event(HI)
                reply.pause(0.01)
            assert reply.closed(TIMEOUT)
        finally:
            self.gone.set()


def interrupt(process):
    """Send SIGINT when the process waits in a system call.

    Python handles a signal that comes just before a blocking call only after that call, which here
    would never end.
    """
    state = Path(f"/proc/{process.pid}/stat")
    while state.exists() and state.read_text().rpartition(") ")[2][0] in "RD":
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)


@pytest.mark.parametrize("flags", [[], ["--async"]], ids=["sync", "async"])
@pytest.mark.parametrize("says", [True, False], ids=["streaming", "silent"])
def test_ctrl_c(environment, monkeypatch, turns, says, flags):
    handler = Endless(says=says)
    with (
        serving(monkeypatch, handler) as server,
        llm_process.start(*PROMPT, *flags) as process,
    ):
        assert handler.began.wait(TIMEOUT)
        if says:
            assert process.stdout.read(2) == "Hi"
        interrupt(process)
        stderr = process.stderr.read()
        assert process.wait(TIMEOUT) == 1
        assert handler.gone.wait(TIMEOUT)

    assert stderr.strip() == "Aborted!"
    assert len(server.requests) == 1
    assert turns() == []


def test_ctrl_c_while_waiting_to_try_again(environment, monkeypatch):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "2")

    def busy(reply: scripted_server.Reply) -> None:
        reply.respond(429, b"", retry_after=15)

    with (
        serving(monkeypatch, busy) as server,
        llm_process.Terminal() as terminal,
        llm_process.start(*PROMPT, stderr=terminal.fd) as process,
    ):
        assert terminal.readline() == "EvoLink answered 429; trying again in 15 s\n"
        interrupt(process)
        stdout, stderr = process.stdout.read(), terminal.read()
        assert process.wait(TIMEOUT) == 1

    assert (stdout, stderr.strip()) == ("", "Aborted!")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("flags", "fresh"), [([], True), (["--async"], False)], ids=["sync", "async"]
)
def test_a_closed_pipe_closes_the_connection(environment, monkeypatch, turns, flags, fresh):
    handler = Endless(says=True, goes_on=True)
    with (
        serving(monkeypatch, handler),
        llm_process.start(*PROMPT, *flags, fresh=fresh) as process,
    ):
        line = os.read(process.stdout.fileno(), 3)  # As head -1 does.
        process.stdout.close()
        stderr = process.stderr.read()
        process.wait(TIMEOUT)
        assert handler.gone.wait(TIMEOUT)

    assert line == b"Hi\n"
    # 120 is Python's, when it cannot flush at exit what could not be written before.
    assert process.returncode in (1, 120)
    assert stderr.startswith("Error: [Errno 32] Broken pipe\n")  # llm's own line.
    assert "Traceback" not in stderr
    assert turns() == []


LEAVE = """
import asyncio
import llm

async def texts(response):
    async for text in response:
        yield text

async def events(response):
    async for event in response.astream_events():
        yield event.chunk

async def main(read, error):
    response = llm.get_async_model("gemini-3.5-flash").prompt("hi")
    async for text in read(response):
        print(text)
        break
    if error:
        raise error

for read in (texts, events):
    asyncio.run(main(read, None))
    try:
        asyncio.run(main(read, ValueError("mine")))
    except ValueError as error:
        print(error)
"""


def test_an_event_loop_that_ends_before_the_reply_says_nothing(environment, monkeypatch):
    with serving(monkeypatch, Endless(says=True)) as server:
        done = subprocess.run(
            [sys.executable, "-W", "default", "-c", LEAVE],
            capture_output=True,
            text=True,
            check=False,
        )

    assert (done.stdout.split(), done.stderr) == (["Hi", "Hi", "mine"] * 2, "")
    assert server.connections == 4


def test_a_reply_that_is_dropped_closes_its_connection(environment, monkeypatch):
    async def main() -> None:
        async for _ in AsyncEvolinkChat().prompt("hi"):
            break
        gc.collect()
        assert await asyncio.to_thread(handler.gone.wait, TIMEOUT)

    handler = Endless(says=True)
    with serving(monkeypatch, handler):
        asyncio.run(main())
