"""Copying standard input: a signal ends the wait for data, whenever it arrives."""

import ctypes
import os
import select
import signal
import sys
import threading
from functools import partial
from operator import call

import pytest

from llm_evolink.batch.command_run import sigterm_as_ctrl_c
from llm_evolink.batch.stdin import copied
from tests.llm_process import TIMEOUT


@pytest.mark.skipif(sys.platform == "win32", reason="a signal as POSIX sends it")
def test_a_signal_between_two_reads_ends_the_copy(monkeypatch):
    reader, writer = os.pipe()
    wait, waits = select.select, []
    kill = ctypes.CDLL(None).kill
    late = threading.Timer(TIMEOUT, os.write, (writer, b"x"))

    def select_after_signal(*arguments):
        waits.append(arguments)
        # Both in one call of C code: Python handles the signal only after the second has returned.
        signalled = partial(kill, os.getpid(), signal.SIGTERM)
        return list(map(call, [signalled, partial(wait, *arguments)]))[1]

    monkeypatch.setattr(select, "select", select_after_signal)
    late.start()
    with os.fdopen(reader, "rb") as source, sigterm_as_ctrl_c(), pytest.raises(KeyboardInterrupt):
        copied(source)

    assert len(waits) == 1
    assert not late.finished.is_set()  # Nothing was written: only the signal ended the wait.
    late.cancel()
    os.close(writer)
    assert signal.set_wakeup_fd(-1) == -1


def test_a_pipe_is_copied():
    reader, writer = os.pipe()
    text = b"id,text\n" * 40_000  # More than a pipe holds.

    def write():
        with os.fdopen(writer, "wb") as file:
            file.write(text)

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reader, "rb") as source, copied(source) as file:
        file.seek(0)
        assert file.read() == text
    thread.join()


def test_a_signal_that_is_handled_does_not_end_the_copy(monkeypatch):
    """The handler of the signal writes the data."""
    reader, writer = os.pipe()
    wait, waits = select.select, []

    def write(*_):
        os.write(writer, b"id,text\n")
        os.close(writer)

    def select_after_signal(*arguments):
        waits.append(arguments)
        if len(waits) == 1:
            os.kill(os.getpid(), signal.SIGUSR1)
        return wait(*arguments)

    previous = signal.signal(signal.SIGUSR1, write)
    monkeypatch.setattr(select, "select", select_after_signal)
    with os.fdopen(reader, "rb") as source, copied(source) as file:
        file.seek(0)
        assert file.read() == b"id,text\n"
    signal.signal(signal.SIGUSR1, previous)
