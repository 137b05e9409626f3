"""Ctrl-C and a closed pipe during a stream, in real processes."""

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

from llm_evolink import AsyncEvolinkChat
from llm_evolink.constants import MODEL_ID
from tests import llm_process, scripted_server
from tests.llm_process import TIMEOUT
from tests.scripted_server import serving

HI = {"choices": [{"delta": {"content": "Hi\n"}}]}
PROMPT = ["-m", "gemini-3.5-flash", "hi"]


class Endless:
    """Sends an event, or nothing, and waits until the client disconnects.

    Attributes:
        began: Set once the event is sent, if one is to be sent.
        disconnected: Set when the client has disconnected.
    """

    def __init__(self, *, sends: bool, keeps_sending: bool = False) -> None:
        self.sends = sends
        self.keeps_sending = keeps_sending
        self.began = threading.Event()
        self.disconnected = threading.Event()

    def __call__(self, reply: scripted_server.Reply) -> None:
        if self.sends:
            reply.start()
            reply.event(HI)
        self.began.set()
        try:
            while self.keeps_sending:
                reply.event(HI)
                reply.pause(0.01)
            assert reply.closed(TIMEOUT)
        finally:
            self.disconnected.set()


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
@pytest.mark.parametrize("sends", [True, False], ids=["streaming", "no data"])
def test_ctrl_c(environment, monkeypatch, turns, sends, flags):
    handler = Endless(sends=sends)
    with (
        serving(monkeypatch, handler) as server,
        llm_process.start(*PROMPT, *flags) as process,
    ):
        assert handler.began.wait(TIMEOUT)
        if sends:
            assert process.stdout.read(2) == "Hi"
        interrupt(process)
        stderr = process.stderr.read()
        assert process.wait(TIMEOUT) == 1
        assert handler.disconnected.wait(TIMEOUT)

    assert stderr.strip() == "Aborted!"
    assert len(server.requests) == 1
    assert turns() == []


def test_ctrl_c_during_the_delay_before_a_retry(environment, monkeypatch):
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
    handler = Endless(sends=True, keeps_sending=True)
    with (
        serving(monkeypatch, handler),
        llm_process.start(*PROMPT, *flags, fresh=fresh) as process,
    ):
        line = os.read(process.stdout.fileno(), 3)  # As head -1 does.
        process.stdout.close()
        stderr = process.stderr.read()
        process.wait(TIMEOUT)
        assert handler.disconnected.wait(TIMEOUT)

    assert line == b"Hi\n"
    # Python exits with 120 when it cannot flush standard output at exit.
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


def test_an_event_loop_that_ends_before_the_reply_prints_no_warning(environment, monkeypatch):
    with serving(monkeypatch, Endless(sends=True)) as server:
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
        async for _ in AsyncEvolinkChat(MODEL_ID).prompt("hi"):
            break
        gc.collect()
        assert await asyncio.to_thread(handler.disconnected.wait, TIMEOUT)

    handler = Endless(sends=True)
    with serving(monkeypatch, handler):
        asyncio.run(main())
