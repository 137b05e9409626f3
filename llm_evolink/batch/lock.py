"""A lock on a batch, which the system releases when the process ends, also after a kill."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from .errors import BatchError


class Lock:
    """Keeps other processes from running the same batch: a locked file with the pid in it."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises BatchError with the pid of the process that has it, and OSError."""
        self._path = path
        while True:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(self._file, 20).decode("ascii", "replace").strip()
                os.close(self._file)
                raise BatchError(
                    f"This batch is already being run by process {owner or 'unknown'}"
                ) from None
            except OSError as error:  # Of a network file system, say.
                os.close(self._file)
                raise BatchError(
                    f"{path} cannot be locked: {error.strerror}; "
                    "choose a state file on a disk of this machine"
                ) from None
            # The previous owner may have deleted the file after it was opened here.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(self._file), os.stat(path)):
                    break
            os.close(self._file)
        os.ftruncate(self._file, 0)
        os.write(self._file, str(os.getpid()).encode())

    def release(self) -> None:
        """Release the lock and delete its file."""
        with suppress(FileNotFoundError):
            self._path.unlink()
        os.close(self._file)
