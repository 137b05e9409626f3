"""Shared fixtures: a sandbox server, an llm user folder, a certificate, the `llm` command."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlite_utils
from anyio._backends._asyncio import AsyncIOBackend
from click.testing import CliRunner
from llm.migrations import migrate

from llm_evolink.sandbox import Server, serve
from tests import four_ways, llm_process, scripted_server

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", action="store_true", help="run ten times as many fuzzing examples")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("fuzz"):
        from hypothesis import settings

        settings.register_profile("fuzz", max_examples=1000)
        settings.load_profile("fuzz")


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Have Ctrl-C work in what the tests start: a shell has it ignored in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _traced_connections() -> Iterator[None]:
    """Connect without anyio's task group while coverage is measured.

    The group cancels a task, after which Python 3.11 no longer traces those that await it.
    """
    connect = anyio.connect_tcp

    async def connect_without_group(remote_host: str, remote_port: int, **options: Any) -> Any:
        try:
            return await AsyncIOBackend.connect_tcp(remote_host, remote_port)
        except OSError:  # The group has the other addresses of the host, and the message.
            return await connect(remote_host, remote_port, **options)

    with pytest.MonkeyPatch.context() as patch:
        if sys.gettrace():
            patch.setattr(anyio, "connect_tcp", connect_without_group)
        yield


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def sandbox(_sandbox: Server, environment: None, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The sandbox, named to the plugin by the environment, with nothing received yet."""
    monkeypatch.setenv("EVOLINK_BASE_URL", _sandbox.url)
    _sandbox.requests.clear()
    return _sandbox


@pytest.fixture
def user_path(tmp_path: Path) -> Path:
    """The llm user folder of the test."""
    return tmp_path / "llm"


@pytest.fixture
def environment(user_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment of the test's own: its llm user folder, a key, no other setting."""
    for name in list(os.environ):
        if name.startswith(("EVOLINK_", "LLM_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LLM_USER_PATH", str(user_path))
    # What else is installed is for test_two_plugins.py alone.
    monkeypatch.setenv("LLM_LOAD_PLUGINS", "llm-evolink")
    monkeypatch.setenv("EVOLINK_API_KEY", four_ways.KEY)
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "0")


@pytest.fixture(scope="session", autouse=True)
def _fork_servers() -> Iterator[None]:
    """Stop the fork servers when the tests end."""
    yield
    llm_process.stop()


@pytest.fixture
def llm_command(environment: None) -> Run:
    """Run `llm` with these arguments in the test's environment; see llm_process.run()."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **options.pop("env", {})}
        return llm_process.run(*arguments, env=env, **options)

    return run


@pytest.fixture
def llm_in_process(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run an `llm evolink` command in this process, where no pipe, signal or terminal matters."""

    def run(*arguments: str, env: Mapping[str, str] = {}) -> subprocess.CompletedProcess[str]:
        from llm.cli import cli  # Loads the plugins, which `environment` names.

        with monkeypatch.context() as patch:
            for name, value in env.items():
                patch.setenv(name, value)
            time.tzset()
            result = CliRunner().invoke(cli, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return subprocess.CompletedProcess(
            arguments, result.exit_code, result.stdout, result.stderr
        )

    yield run
    time.tzset()


@pytest.fixture(scope="session")
def _migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "logs.db"
    database = sqlite_utils.Database(path)
    migrate(database)
    database.close()
    return path


@pytest.fixture
def empty_log(_migrated: Path, user_path: Path) -> Path:
    """The path of llm's log: a database with its tables and no rows."""
    user_path.mkdir()
    return shutil.copy(_migrated, user_path / "logs.db")


@pytest.fixture
def turns(user_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """Read llm's turns table: a dict a row, oldest first, JSON columns parsed."""

    def read() -> list[dict[str, Any]]:
        with sqlite3.connect(user_path / "logs.db") as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute("select * from turns order by id")]
        connection.close()
        for row in rows:
            for column in ("token_details", "options_json", "response_json"):
                row[column] = json.loads(row[column]) if row[column] else None
        return rows

    return read


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate.pem of 127.0.0.1, and its key.pem."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    command = [
        *(openssl, "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem"),
        *("-out", "certificate.pem"),
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """TLS context of a server with the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate.pem", certificate / "key.pem")
    return context


@pytest.fixture
def full_disk() -> str:
    """The path of a file that cannot be written, as on a full disk."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    return "/dev/full"


@pytest.fixture(scope="session")
def ipv6() -> None:
    """Skip the test where no server can listen on ::1."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6")


@pytest.fixture
def no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no host name have an address but those of loopback; no query is sent."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str | bytes | None, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in (None, "localhost", "127.0.0.1", "::1"):
            raise socket.gaierror(-2, "Name or service not known")
        return resolve(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(params=four_ways.WAYS, ids=four_ways.way_id)
def way(request: pytest.FixtureRequest) -> four_ways.Way:
    """Each way to call the model."""
    return request.param


@pytest.fixture
def scripted(
    environment: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., scripted_server.Server]]:
    """Serve these completions in turn, each the arguments of scripted_server.Reply.complete."""
    with ExitStack() as stack:

        def start(*replies: dict[str, Any]) -> scripted_server.Server:
            left = list(replies)
            serving = scripted_server.serving(
                monkeypatch, lambda reply: reply.complete(**left.pop(0))
            )
            return stack.enter_context(serving)

        yield start
