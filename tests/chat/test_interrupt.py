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
from tests import scripted_server
from tests.four_ways import serving

LLM = str(Path(sys.executable).with_name("llm"))
HI = {"choices": [{"delta": {"content": "Hi\n"}}]}
PROMPT = [LLM, "-m", "gemini-3.5-flash", "hi"]


class Endless:
    """Answers with a stream, or nothing, and waits for the client to go.

    Attributes:
        began: Set when what comes before the wait was sent.
        gone: Set when the client has gone.
        closed: Seconds from `began` to the close.
    """

    def __init__(self, *, says: bool, goes_on: bool = False) -> None:
        self.says = says
        self.goes_on = goes_on
        self.began = threading.Event()
        self.gone = threading.Event()
        self.closed = 0.0

    def __call__(self, reply: scripted_server.Reply) -> None:
        if self.says:
            reply.start()
            reply.event(HI)
        began = time.monotonic()
        self.began.set()
        try:
            while self.goes_on:
                reply.event(HI)
                reply.pause(0.01)
            assert reply.closed(20)
        finally:
            self.closed = time.monotonic() - began
            self.gone.set()


@pytest.mark.parametrize("flags", [[], ["--async"]], ids=["sync", "async"])
@pytest.mark.parametrize("says", [True, False], ids=["streaming", "silent"])
def test_ctrl_c(environment, monkeypatch, turns, says, flags):
    handler = Endless(says=says)
    with (
        serving(monkeypatch, handler) as server,
        subprocess.Popen(
            [*PROMPT, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert handler.began.wait(20)
        if says:
            assert process.stdout
            assert process.stdout.read(2) == "Hi"
        interrupted = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
        seconds = time.monotonic() - interrupted

    assert (stderr.strip(), process.returncode) == ("Aborted!", 1)
    assert seconds < 5
    assert handler.closed < 10
    assert len(server.requests) == 1
    assert turns() == []


def test_ctrl_c_while_waiting_to_try_again(environment, monkeypatch):
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "2")
    asked = threading.Event()

    def busy(reply: scripted_server.Reply) -> None:
        reply.respond(429, b"", retry_after=15)
        asked.set()

    with (
        serving(monkeypatch, busy) as server,
        subprocess.Popen(PROMPT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        assert asked.wait(20)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)

    assert (stdout, stderr.strip(), process.returncode) == (b"", b"Aborted!", 1)
    assert len(server.requests) == 1


@pytest.mark.parametrize("flags", [[], ["--async"]], ids=["sync", "async"])
def test_a_closed_pipe_closes_the_connection(environment, monkeypatch, turns, flags):
    handler = Endless(says=True, goes_on=True)
    with (
        serving(monkeypatch, handler),
        subprocess.Popen(
            [*PROMPT, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        ) as process,
    ):
        assert process.stdout
        line = os.read(process.stdout.fileno(), 3)  # As head -1 does.
        process.stdout.close()
        assert process.stderr
        stderr = process.stderr.read()
        process.wait(20)

    assert line == b"Hi\n"
    # 120 is Python's, when it cannot flush at exit what could not be written before.
    assert process.returncode in (1, 120)
    assert stderr.startswith(b"Error: [Errno 32] Broken pipe\n")  # llm's own line.
    assert b"Traceback" not in stderr
    assert handler.closed < 10
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
        assert await asyncio.to_thread(handler.gone.wait, 10)

    handler = Endless(says=True)
    with serving(monkeypatch, handler):
        asyncio.run(main())
