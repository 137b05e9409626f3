"""Copies standard input to a temporary file, which can be read twice."""

import os
import select
import shutil
import signal
import tempfile
import threading
from contextlib import suppress
from typing import BinaryIO

_CHUNK = 2**16
"""Bytes to read at a time."""


def copied(source: BinaryIO) -> BinaryIO:
    """Return a temporary file with the content of a stream. A signal interrupts the copying."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed by the caller
    try:
        descriptor = None
        with suppress(OSError):
            descriptor = source.fileno()
        if descriptor is None or threading.current_thread() is not threading.main_thread():
            shutil.copyfileobj(source, file)
        else:
            _copy(descriptor, file)
        file.flush()
    except BaseException:
        with suppress(OSError):  # Closing flushes again.
            file.close()
        raise
    return file


def _copy(source: int, file: BinaryIO) -> None:
    # Python handles a signal that arrives just before a read only after that read, which may
    # never end. Such a signal makes `woken` readable, which ends select.
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    previous = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    try:
        while True:
            ready, _, _ = select.select([source, woken], [], [])
            if woken in ready:
                os.read(woken, _CHUNK)
            elif data := os.read(source, _CHUNK):
                file.write(data)
            else:
                break
    finally:
        signal.set_wakeup_fd(previous)
        os.close(woken)
        os.close(wake)
