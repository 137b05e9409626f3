"""Runs `llm` for the tests, in a process forked from one that has llm and the plugin loaded.

done = llm_process.run("-m", "gemini-3.5-flash", "hello")
with llm_process.start("evolink", "sandbox") as process:
    ...  # process.pid, process.stdout, process.send_signal(signal.SIGINT), process.wait()

A forked process is a real one, with its own pid, pipes, signals and exit code. It skips the
imports, llm's migrations of a new logs.db, and Python's freeing of each object at exit. With
`fresh=True`, on Windows, and in an environment in which Python starts differently, `llm` itself is
started instead.

Run as a program, this file is the fork server (`serve`) or a command `llm` that uses it (`llm`).
"""

import atexit
import gc
import importlib
import marshal
import os
import pkgutil
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
LLM = str(Path(sys.executable).with_name("llm"))
TIMEOUT = 120.0  # Seconds within which a command ends, however busy the machine is.
File = int | IO[Any]
_NUMBER = 4  # Bytes of a length, a pid or an exit code on the socket.


def run(
    *arguments: str,
    input: str | None = None,  # noqa: A002
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run `llm` with the arguments; the other parameters are those of start().

    Raises subprocess.TimeoutExpired when it was killed after TIMEOUT seconds.
    """
    with ExitStack() as stack:
        given, out, err = (
            stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8")) for _ in range(3)
        )
        if input is not None:
            given.write(input)
            given.seek(0)
            options["stdin"] = given
        process = start(*arguments, stdout=out, stderr=err, **options)
        try:
            code = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess([LLM, *arguments], code, out.read(), err.read())


def start(
    *arguments: str,
    env: dict[str, str] | None = None,
    cwd: str | Path | None = None,
    stdin: File = DEVNULL,
    stdout: File = PIPE,
    stderr: File = PIPE,
    fresh: bool = False,
) -> "Process | subprocess.Popen[str]":
    """Start `llm` with the arguments, without a fork server if `fresh`.

    The other parameters are those of subprocess.Popen.
    """
    command = [LLM, *arguments]
    environment = dict(os.environ if env is None else env)
    server = None if fresh else _server(environment)
    if server:
        directory = os.fspath(cwd or os.getcwd())
        return Process(server.path, command, environment, directory, stdin, stdout, stderr)
    files: dict[str, Any] = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
    return subprocess.Popen(command, env=environment, cwd=cwd, text=True, **files)


def install(folder: Path) -> None:
    """Write a command `llm` into the folder, for shells: it uses the fork server as well."""
    server = _server(dict(os.environ))
    assert server
    command = folder / "llm"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {__file__} llm {server.path} "$@"\n')
    command.chmod(0o755)


def run_in_terminal(
    *arguments: str, files: Collection[str] = ("stdout", "stderr")
) -> subprocess.CompletedProcess[str]:
    """Run `llm` with these of its files a terminal; return the finished process.

    What the terminal shows is its stdout, or its stderr if stdout is not a terminal.
    """
    with (
        Terminal() as terminal,
        start(*arguments, **dict.fromkeys(files, terminal.fd)) as process,  # type: ignore[arg-type]
    ):
        output = {"stdout": terminal.read()} if "stdout" in files else {"stderr": terminal.read()}
        for name in {"stdout", "stderr"} - output.keys() - {*files}:
            output[name] = getattr(process, name).read()
    assert process.returncode is not None
    return subprocess.CompletedProcess([LLM, *arguments], process.returncode, **output)


def line_with(file: IO[str] | None, text: str) -> str:
    """Return the next line of the file that contains the text; fail if there is none."""
    assert file
    for line in file:
        if text in line:
            return line
    raise AssertionError(f"no line has {text!r}")


def run_forked(body: Callable[[], object]) -> int:
    """Run the function in a forked process; return its exit status."""
    return os.waitpid(start_forked(body), 0)[1]


def start_forked(body: Callable[[], object]) -> int:
    """Start the function in a forked process; return its pid.

    The exit code is 0, or 1 after an exception, whose traceback is printed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of threads of the test runner.
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())  # sys.stderr is pytest's in this process.
        finally:
            os._exit(code)
    return pid


class Terminal:
    """A terminal for a process: its standard output or error is `fd`.

    with Terminal() as terminal, start("evolink", "doctor", stdout=terminal.fd):
        assert terminal.read() == "…"
    """

    def __init__(self) -> None:
        self._ours, self.fd = pty.openpty()

    def readline(self) -> str:
        """Return the next line that is shown, with its end."""
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(self._ours, 1)
        return line.decode().replace("\r", "")

    def read_until(self, text: str) -> None:
        """Read what is shown until it contains the text; fail if the terminal is closed before."""
        output = b""
        while text.encode() not in output:
            part = os.read(self._ours, 4096)
            assert part, output
            output += part

    def read(self) -> str:
        """Return what is shown until the last process has closed the terminal."""
        os.close(self.fd)
        output = b""
        with suppress(OSError):  # Linux's way to report that nobody has the other end open.
            while part := os.read(self._ours, 4096):
                output += part
        return output.decode().replace("\r", "")

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ours)


def stop() -> None:
    """Stop the fork servers."""
    while _servers:
        _servers.popitem()[1].stop()


class Process:
    """A forked `llm`, with the attributes and methods of subprocess.Popen that tests need."""

    def __init__(
        self, path: str, argv: list[str], env: dict[str, str], cwd: str, *files: File
    ) -> None:
        """Have the fork server at the path start it, with these three files."""
        self.args = argv
        self.returncode: int | None = None
        pipes: list[IO[str] | None] = [None, None, None]
        theirs: list[int] = []
        with ExitStack() as stack:  # Closes the process's ends of the pipes.
            for number, file in enumerate(files):
                if file == PIPE:
                    reader, writer = os.pipe()
                    pipes[number] = os.fdopen(*((reader, "r") if number else (writer, "w")))
                    file = writer if number else reader
                    stack.callback(os.close, file)
                elif file == DEVNULL:
                    file = stack.enter_context(open(os.devnull, "r+"))
                elif file == STDOUT:
                    file = theirs[1]
                theirs.append(file if isinstance(file, int) else file.fileno())
            self.stdin, self.stdout, self.stderr = pipes
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.connect(path)
            request = marshal.dumps((argv, env, cwd))
            data = len(request).to_bytes(_NUMBER, "little") + request
            sent = socket.send_fds(self._connection, [data], theirs)
            self._connection.sendall(data[sent:])
            self.pid = self._receive()

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Return its exit code, negative for a signal; raise subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout)
            self.returncode = self._receive()
            self._connection.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it the signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, error: object, *_: object) -> None:
        """Close the pipes and wait for its end; kill it if the block raised an error."""
        if error:
            self.kill()
        for file in (self.stdin, self.stdout, self.stderr):
            if file:
                with suppress(OSError):
                    file.close()
        self.wait()

    def _receive(self) -> int:
        data = self._connection.recv(_NUMBER, socket.MSG_WAITALL)
        assert len(data) == _NUMBER, "the fork server has ended"
        return int.from_bytes(data, "little", signed=True)


class _Server:
    """A running fork server: `path` is its socket."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = f"{self._folder.name}/socket"
        command = [sys.executable, __file__, "serve", self.path]
        self._process = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, cwd="/", env=environment)
        assert self._process.stdout
        assert self._process.stdout.readline() == b"ready\n"

    def stop(self) -> None:
        with self._process:  # It ends when its standard input is closed.
            pass
        self._folder.cleanup()


def _read_by_python(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables that Python reads once, when it starts."""
    names = ("LANG", "LC_", "LD_", "PYTHON")
    return {name: value for name, value in environment.items() if name.startswith(names)}


_OURS = _read_by_python(dict(os.environ))
_servers: dict[str | None, _Server] = {}  # By the plugins that are loaded, None for all.


def _server(environment: dict[str, str]) -> _Server | None:
    """Return the fork server for the environment, started if need be; None if none can be."""
    if sys.platform == "win32" or _read_by_python(environment) != _OURS:
        return None
    plugins = environment.get("LLM_LOAD_PLUGINS")
    if plugins not in _servers:
        _servers[plugins] = _Server(environment)
    return _servers[plugins]


# The fork server.


def _serve(path: str) -> None:
    """Fork a process for each request until standard input ends; return in the forked process."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests.
    gc.collect()
    gc.freeze()
    os.write(1, b"ready\n")
    while True:
        if listener not in select.select([listener, sys.stdin], [], [])[0]:
            _reap(0)
            os._exit(0)
        _reap(os.WNOHANG)
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            return _attend(connection)
        connection.close()


def _reap(options: int) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, options)[0]:
            pass


def _attend(connection: socket.socket) -> None:
    """Fork the process that is asked for and report its pid and its end; return in that process."""
    data, files, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    length = int.from_bytes(data[:_NUMBER], "little")
    while len(data) < _NUMBER + length:
        data += connection.recv(1 << 20)
    argv, environment, cwd = marshal.loads(data[_NUMBER:])
    pid = os.fork()
    if pid:
        for file in files:
            os.close(file)
        with suppress(OSError):
            connection.sendall(pid.to_bytes(_NUMBER, "little"))
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        with suppress(OSError):
            connection.sendall(code.to_bytes(_NUMBER, "little", signed=True))
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):  # All three are above 2: the server has 0 to 2 open.
        os.dup2(file, number)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(cwd)
    sys.argv = argv
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _load() -> Any:
    """Load what `llm` and the plugin import, and give new databases llm's tables at once."""
    sys.path[0] = os.path.dirname(LLM)  # As in `llm` itself, not the folder of this file.
    import asyncio  # noqa: F401
    import sqlite3

    import llm.cli
    import llm.logs
    import sqlite_utils
    from llm.migrations import migrate

    for package in ("generated_client", "llm_evolink"):
        module = importlib.import_module(package)
        for found in pkgutil.walk_packages(module.__path__, f"{package}."):
            if found.name != "llm_evolink.daft":  # Needs an extra, and no command imports it.
                importlib.import_module(found.name)
    template = sqlite3.connect(":memory:", check_same_thread=False)
    migrate(sqlite_utils.Database(template))
    template.commit()

    def migrate_by_copy(database: sqlite_utils.Database) -> None:
        if database.table_names():
            migrate(database)
        else:
            template.backup(database.conn)

    llm.cli.migrate = llm.logs.migrate = migrate_by_copy
    return llm.cli.cli


def _call(cli: Any) -> None:
    """Call the command line, and exit without freeing each object, which takes half of the time."""
    try:
        cli()
    except SystemExit as stopped:
        code = stopped.code or 0
        if not isinstance(code, int):
            raise
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        code = 120  # As Python exits.
    os._exit(code)


if __name__ == "__main__":
    role, socket_path, *rest = sys.argv[1:]
    if role == "serve":
        cli = _load()
        _serve(socket_path)
        _call(cli)
    command = Process(socket_path, [LLM, *rest], dict(os.environ), os.getcwd(), 0, 1, 2)
    for forwarded in (signal.SIGINT, signal.SIGTERM):
        signal.signal(forwarded, lambda number, _: command.send_signal(number))
    sys.exit(command.wait(60 * TIMEOUT))
