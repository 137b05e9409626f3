"""`llm evolink sandbox`: its options, its output, its end."""

import errno
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import click
import httpx
import pytest
from click.testing import CliRunner

from llm_evolink import EvolinkGroup, commands
from llm_evolink.commands import sandbox
from llm_evolink.sandbox.document import documented_errors
from tests import llm_process
from tests.four_ways import MODEL, post_to, text_of
from tests.llm_process import TIMEOUT

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def environ(environment):
    return dict(os.environ)


@contextmanager
def command(environ, *options, fresh=False):
    """Run `llm evolink sandbox` until the block ends."""
    with llm_process.start("evolink", "sandbox", *options, env=environ, fresh=fresh) as process:
        try:
            yield process
        finally:
            process.kill()


def read_url(process, source="generated answers, no model") -> str:
    """Return the URL that the command prints, and read the rest of its introduction."""
    first = process.stdout.readline()
    url = re.search(r"http://\S+", first)[0]
    assert first == f"EvoLink sandbox on {url} ({source}). Stop it with Ctrl-C.\n"
    lines = [process.stdout.readline() for _ in range(4)]
    assert lines == [
        "\n",
        f"export EVOLINK_BASE_URL={url}\n",
        "export EVOLINK_API_KEY=sandbox\n",
        "\n",
    ]
    return url


@pytest.mark.parametrize(("number", "fresh"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_the_command_runs_until_it_is_stopped(environ, number, fresh):
    with command(environ, "--port", "0", fresh=fresh) as process:
        url = read_url(process)
        response = httpx.post(
            f"{url}/v1/chat/completions",
            json=BODY,
            headers={"Authorization": "Bearer sandbox"},
            trust_env=False,
            timeout=TIMEOUT,
        )
        assert text_of(response).endswith('You said: "hello"')
        line = process.stdout.readline()
        assert re.fullmatch(r"POST /v1/chat/completions 200 2\+17 tokens \d+ ms\n", line)
        process.send_signal(number)
        assert process.wait(TIMEOUT) == 0
        assert process.stderr.read() == ""


def test_two_signals_at_once_stop_the_command_once(environ):
    with command(environ, "--port", "0") as process:
        read_url(process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_command_during_a_stream(environ, number):
    with command(environ, "--port", "0", "--chunk-delay", "3600") as process:
        url = read_url(process)
        with httpx.stream(
            "POST",
            f"{url}/v1/chat/completions",
            json={**BODY, "stream": True},
            headers={"Authorization": "Bearer sandbox"},
            trust_env=False,
            timeout=TIMEOUT,
        ) as response:
            next(response.iter_lines())
            process.send_signal(number)
            assert process.wait(TIMEOUT) == 0
            assert process.stderr.read() == ""


def test_the_command_applies_its_options(environ):
    options = ["--port", "0", "--fail", "429:1", "--fail", "503:1", "--latency", "0.1"]
    with command(environ, *options, "--cut-after", "1", "--garble", "--model", "b") as process:
        url = read_url(process)
        with httpx.Client(
            base_url=url, headers={"Authorization": "Bearer a"}, trust_env=False, timeout=TIMEOUT
        ) as client:
            assert [post_to(client).status_code for _ in range(3)] == [429, 503, 200]
            assert post_to(client, model="b").status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                client.post("/v1/chat/completions", json={**BODY, "stream": True})


def test_the_command_listens_on_loopback_by_default(environ):
    with command(environ, "--port", "0") as process:
        assert read_url(process).startswith("http://127.0.0.1:")


# The resolver takes 0 for 0.0.0.0.
@pytest.mark.parametrize("host", ["0.0.0.0", "0"])
def test_the_command_warns_when_it_listens_beyond_loopback(environ, host):
    with command(environ, "--host", host, "--port", "0") as process:
        assert read_url(process).startswith("http://0.0.0.0:")
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
        assert process.stderr.read() == (
            "Warning: the sandbox listens on 0.0.0.0, beyond this machine: anyone who reaches it "
            "can use it. Clients need EVOLINK_ALLOW_HTTP=1.\n"
        )


PLUGIN = """
import llm

class Plain(llm.Model):
    model_id = "plain"

    def execute(self, prompt, stream, response, conversation):
        yield f"You asked: {prompt.prompt}"

@llm.hookimpl
def register_models(register):
    register(Plain())
"""


@pytest.fixture
def with_plugin(environ, tmp_path):
    """An environment in which a plugin with the model `plain` is installed."""
    metadata = tmp_path / "llm_plain-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-plain\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[llm]\nplain = llm_plain\n")
    (tmp_path / "llm_plain.py").write_text(PLUGIN)
    return {
        **environ,
        "PYTHONPATH": str(tmp_path),
        "LLM_LOAD_PLUGINS": "llm-evolink,llm-plain",
    }


def test_the_command_with_backend_reply_and_record(with_plugin, tmp_path):
    replies, record = tmp_path / "replies.yaml", tmp_path / "requests.jsonl"
    replies.write_text("- {prompt: '(?i)capital', reply: Paris}\n")
    options = ["--backend", "plain", "--reply", str(replies), "--record", str(record)]
    with command(with_plugin, "--port", "0", *options) as process:
        url = read_url(process, "answers of plain")
        with httpx.Client(
            base_url=url, headers={"Authorization": "Bearer a"}, trust_env=False, timeout=TIMEOUT
        ) as client:
            assert text_of(post_to(client, "The capital of France?")) == "Paris"
            assert text_of(post_to(client, "hello")) == "You asked: hello"
        assert [process.stdout.readline().split(" ")[3] for _ in range(2)] == ["6+2", "2+4"]
        assert len(record.read_text().splitlines()) == 2


def run(environ, *options):
    done = llm_process.run("evolink", "sandbox", *options, env=environ)
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()[-1]


def test_a_port_in_use_is_reported(environ):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(environ, "--port", str(port)) == (
            1,
            f"Error: the sandbox cannot listen on 127.0.0.1:{port}: the port is in use; "
            "name another with --port, or 0 for any free one",
        )


def test_a_failure_to_listen_is_reported(environ):
    code, line = run(environ, "--host", "192.0.2.1")
    reason = os.strerror(errno.EADDRNOTAVAIL)
    assert code == 1
    assert line.startswith(f"Error: the sandbox cannot listen on 192.0.2.1:8787: {reason}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--fail", "429"],
            "Error: Invalid value for '--fail': '429' is not a status and a count, such as 429:2",
        ),
        (
            ["--fail", "418:1"],
            "Error: Invalid value for '--fail': 418 is not a documented error; those are "
            + ", ".join(map(str, sorted(documented_errors()))),
        ),
        (
            ["--latency", "-1"],
            "Error: Invalid value for '--latency': '-1' is not a number of seconds from 0 to 86400",
        ),
        (["--latency", "nan"], "Error: Invalid value for '--latency': 'nan' is not a number of"),
        (["--latency", "x"], "Error: Invalid value for '--latency': 'x' is not a number of"),
        (["--chunk-delay", "1e400"], "Error: Invalid value for '--chunk-delay': '1e400' is not"),
        (["--cut-after", "x"], "Error: Invalid value for '--cut-after': 'x' is not a valid"),
        (["--port", "70000"], "Error: Invalid value for '--port': 70000 is not in the range"),
    ],
)
def test_an_invalid_option_is_a_usage_error(environ, options, message):
    code, line = run(environ, *options)
    assert code == 2
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", ""], "--backend needs the name of a model; see: llm models list"),
        (["--backend", "none-such"], "Unknown model: none-such; see: llm models list"),
        (["--reply", "none-such"], "none-such: No such file or directory"),
        (["--reply", "/dev/zero"], "/dev/zero is larger than 4 MiB"),
        (["--record", "/"], "the sandbox cannot write /: Is a directory"),
        (
            ["--host", "a..b"],
            "the sandbox cannot listen on a..b:0: not a valid host name",
        ),
    ],
)
def test_an_unusable_option_value_is_reported(environ, options, message):
    assert run(environ, "--port", "0", *options) == (1, f"Error: {message}")


def test_the_command_gives_the_server_its_options_and_keeps_no_requests(monkeypatch):
    given = {}

    def serve(**settings):
        given.update(settings)
        raise OSError(errno.EADDRINUSE, "in use")

    monkeypatch.setattr(sandbox, "serve", serve)
    monkeypatch.setattr(sandbox, "_on_signals", lambda handle: None)
    options = ["--fail", "503:999999999", "--latency", "0.5", "--chunk-delay", "2"]
    options += ["--cut-after", "1", "--garble", "--model", "b", "--port", "0"]
    done = CliRunner().invoke(sandbox.sandbox, options)
    assert done.exit_code == 1
    assert given == {
        "backend": None,
        "chunk_delay": 2.0,
        "cut_after": 1,
        "fail": ((503, 999_999_999),),
        "garble": True,
        "host": "127.0.0.1",
        "keep_requests": False,
        "latency": 0.5,
        "log": click.echo,
        "models": ("b",),
        "port": 0,
        "record": None,
        "replies": [],
    }


@pytest.mark.parametrize("package", commands._SANDBOX_REQUIREMENTS)
def test_a_missing_extra_is_reported(monkeypatch, package):
    monkeypatch.setattr(commands, "find_spec", lambda name: None if name == package else object())
    reason = (
        r"the sandbox needs packages that are not installed; "
        r"add them with: llm install '.*\[sandbox\]'\n"
    )
    for arguments in ([], ["--port", "0", "more"]):
        done = CliRunner().invoke(EvolinkGroup("evolink"), ["sandbox", *arguments])
        assert (done.exit_code, done.stdout) == (1, "")
        assert re.fullmatch(f"Error: {reason}", done.stderr)

    done = CliRunner().invoke(EvolinkGroup("evolink"), ["sandbox", "--help"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "  Run a local server that answers in the format of EvoLink.\n" in done.stdout
    assert re.search(f"\n  It cannot be used here: {reason}", done.stdout)


def test_a_system_without_file_locks_is_reported(monkeypatch):
    monkeypatch.setattr(commands, "find_spec", lambda name: None if name == "fcntl" else object())
    done = CliRunner().invoke(EvolinkGroup("evolink"), ["batch", "reviews.csv", "$text"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert (
        done.stderr
        == "Error: a batch needs file locks, which this system lacks: use Linux or macOS\n"
    )


def test_commands_that_cannot_be_used_are_listed_as_the_others(monkeypatch):
    listed = CliRunner().invoke(EvolinkGroup("evolink"), ["--help"])
    monkeypatch.setattr(commands, "find_spec", lambda name: None)
    done = CliRunner().invoke(EvolinkGroup("evolink"), ["--help"])
    assert (done.exit_code, done.stdout) == (0, listed.stdout)
    assert [line.split()[0] for line in done.stdout.splitlines()[-6:]] == list(commands.COMMANDS)


HANGING = """
from llm_evolink.commands.sandbox import sandbox
from llm_evolink.sandbox import route, server


def hang(*_):
    print("computing", flush=True)
    while True:
        pass


route.check_request = hang
server.STOP_TIMEOUT = 3600
sandbox(["--port", "0"])
"""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_command_while_it_computes(environ, second):
    with subprocess.Popen(
        [sys.executable, "-c", HANGING],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    ) as process:
        try:
            url = httpx.URL(read_url(process))
            body = json.dumps(BODY)
            with socket.create_connection((url.host, url.port)) as connection:
                connection.sendall(
                    f"POST /v1/chat/completions HTTP/1.1\r\nHost: {url.host}\r\n"
                    "Authorization: Bearer a\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
                )
                llm_process.line_with(process.stdout, "computing\n")
                process.send_signal(signal.SIGINT)
                # Again until it ends: two signals of one number at once count as one.
                while process.poll() is None:
                    process.send_signal(second)
                    threading.Event().wait(0.01)
                assert process.returncode == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()
