import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from llm_evolink.sandbox import serve
from llm_evolink.sandbox.document import documented_errors
from tests import llm_process
from tests.four_ways import MODEL, client_of, post_to, text_of
from tests.llm_process import TIMEOUT

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


def test_it_starts_on_a_free_port_and_stops():
    with serve() as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", server.url)
        assert server.requests == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False, timeout=TIMEOUT)


def test_it_listens_on_the_loopback_address_of_ipv6():
    with serve(host="::1") as server, client_of(server) as client:
        assert server.url.startswith("http://[::1]:")
        assert post_to(client).status_code == 200


def test_a_port_in_use_is_an_error():
    with serve() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), serve(port=port):
            pass


def test_it_stops_although_clients_wait():
    failures: list[Exception] = []

    def wait(url: str) -> None:
        try:
            httpx.post(
                f"{url}/v1/chat/completions",
                json=BODY,
                headers={"Authorization": "Bearer a"},
                trust_env=False,
                timeout=TIMEOUT,
            )
        except httpx.TransportError as error:
            failures.append(error)

    lines: list[str] = []
    with serve(latency=3600, log=lines.append) as server:
        thread = threading.Thread(target=wait, args=(server.url,))
        thread.start()
        while not server.requests:
            time.sleep(0.005)
    thread.join(TIMEOUT)
    assert len(failures) == 1
    assert re.fullmatch(r"POST /v1/chat/completions - \d+ ms", lines[0])


@pytest.mark.parametrize("status", sorted(documented_errors()))
def test_a_failure_is_answered_as_documented_so_many_times(status):
    with serve(fail=[(status, 2)]) as server, client_of(server) as client:
        responses = [post_to(client) for _ in range(3)]
        assert [response.status_code for response in responses] == [status, status, 200]
        assert responses[0].json() == {"error": documented_errors()[status]}
        retry_after = "0" if status in (429, 503) else None
        assert responses[0].headers.get("Retry-After") == retry_after
        assert len(server.requests) == 3


def test_failures_come_in_the_order_given():
    with serve(fail=[(503, 1), (429, 1), (503, 1)]) as server, client_of(server) as client:
        assert [post_to(client).status_code for _ in range(4)] == [503, 429, 503, 200]


def test_a_failure_that_is_not_documented_is_an_error():
    problem = r"^418 is not a documented error; those are 400, 401,"
    with pytest.raises(ValueError, match=problem), serve(fail=[(418, 1)]):
        pass


def test_each_request_is_told_in_a_line():
    lines: list[str] = []
    with serve(log=lines.append) as server, client_of(server) as client:
        post_to(client)
        post_to(client, stream=True)
        post_to(client, n=0)
        client.get("/%1b%5b2J?a=b")
    assert [re.sub(r"\d+ ms", "N ms", line) for line in lines] == [
        "POST /v1/chat/completions 200 2+17 tokens N ms",
        "POST /v1/chat/completions 200 2+17 tokens N ms stream",
        "POST /v1/chat/completions 400 N ms",
        "GET /%1b%5b2J 404 N ms",
    ]


def test_it_is_silent_where_every_warning_is_an_error():
    program = (
        "import httpx\n"
        "from llm_evolink.sandbox import serve\n"
        "with serve(cut_after=1) as server:\n"
        "    with httpx.Client(trust_env=False, headers={'Authorization': 'Bearer a'}) as client:\n"
        "        url = server.url + '/v1/chat/completions'\n"
        f"        body = {BODY!r}\n"
        "        assert client.post(url, json=body).status_code == 200\n"
        "        try:\n"
        "            client.post(url, json=body | {'stream': True})\n"
        "        except httpx.RemoteProtocolError:\n"
        "            pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def environ(environment):
    return dict(os.environ)


@contextmanager
def command(environ, *options):
    """Run `llm evolink sandbox`, whatever becomes of the test."""
    with llm_process.start("evolink", "sandbox", *options, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_url(process, source="no model: answers are made up") -> str:
    """Return the address that the command prints, past its introduction."""
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


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.fresh_llm), signal.SIGTERM]
)
def test_the_command_runs_until_it_is_stopped(environ, number):
    with command(environ, "--port", "0") as process:
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


def test_the_command_stops_once_when_signals_come_together(environ):
    with command(environ, "--port", "0") as process:
        read_url(process)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_stops_in_the_middle_of_a_stream(environ, number):
    # Measured, a process has two sets of asyncio's exceptions, and anyio does not catch its own.
    environ.pop("COVERAGE_PROCESS_CONFIG", None)
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


def test_the_command_does_what_its_options_say(environ):
    options = ["--port", "0", "--fail", "429:1", "--fail", "503:1", "--latency", "0.1"]
    with command(environ, *options, "--cut-after", "1", "--garble") as process:
        url = read_url(process)
        with httpx.Client(
            base_url=url, headers={"Authorization": "Bearer a"}, trust_env=False, timeout=TIMEOUT
        ) as client:
            assert [post_to(client).status_code for _ in range(3)] == [429, 503, 200]
            with pytest.raises(httpx.RemoteProtocolError):
                client.post("/v1/chat/completions", json={**BODY, "stream": True})


def test_without_a_host_the_command_listens_for_this_machine_alone(environ):
    with command(environ, "--port", "0") as process:
        assert read_url(process).startswith("http://127.0.0.1:")


# To the resolver, 0 is a name of the address of all interfaces.
@pytest.mark.parametrize("host", ["0.0.0.0", "0"])
def test_the_command_warns_when_others_can_reach_it(environ, host):
    with command(environ, "--host", host, "--port", "0") as process:
        assert read_url(process).startswith("http://0.0.0.0:")
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT) == 0
        assert process.stderr.read() == (
            "Warning: the sandbox listens on 0.0.0.0, beyond this machine: anyone who reaches it "
            "can use it. Clients need EVOLINK_ALLOW_HTTP=1.\n"
        )


PLUGIN = """
[llm]
plain = tests.sandbox.backends
"""


@pytest.fixture
def with_plugin(environ, tmp_path):
    """An environment in which a plugin with the model `plain` is installed."""
    metadata = tmp_path / "llm_plain-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-plain\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(PLUGIN)
    return {
        **environ,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{Path(__file__).parents[2]}",
        "LLM_LOAD_PLUGINS": "llm-evolink,llm-plain",
    }


@pytest.mark.fresh_llm
def test_the_command_answers_with_a_model_replies_and_records(with_plugin, tmp_path):
    replies, record = tmp_path / "replies.yaml", tmp_path / "requests.jsonl"
    replies.write_text("- {prompt: '(?i)capital', reply: Paris}\n")
    options = ["--backend", "plain", "--reply", str(replies), "--record", str(record)]
    with command(with_plugin, "--port", "0", *options) as process:
        url = read_url(process, "answers are from plain")
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


def test_the_command_says_that_a_port_is_in_use(environ):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(environ, "--port", str(port)) == (
            1,
            f"Error: the sandbox cannot listen on 127.0.0.1:{port}: the port is in use; "
            "name another with --port, or 0 for any free one",
        )


def test_the_command_says_why_it_cannot_listen(environ):
    code, line = run(environ, "--host", "192.0.2.1")
    assert code == 1
    assert line.startswith("Error: the sandbox cannot listen on 192.0.2.1:8787: Cannot assign")


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
            "400, 401, 402, 403, 404, 413, 429, 500, 502, 503",
        ),
        (["--latency", "-1"], "Error: Invalid value for '--latency': -1.0 is not in the range"),
        (["--cut-after", "x"], "Error: Invalid value for '--cut-after': 'x' is not a valid"),
        (["--port", "70000"], "Error: Invalid value for '--port': 70000 is not in the range"),
    ],
)
def test_the_command_says_which_option_is_wrong(environ, options, message):
    code, line = run(environ, *options)
    assert code == 2
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "none-such"], "Unknown model: none-such; see: llm models list"),
        (["--reply", "none-such"], "none-such: No such file or directory"),
        (["--record", "/"], "the sandbox cannot write /: Is a directory"),
        (
            ["--host", "a..b"],
            "the sandbox cannot listen on a..b:0: that cannot be the name of a host",
        ),
    ],
)
def test_the_command_says_what_it_cannot_use(environ, options, message):
    assert run(environ, "--port", "0", *options) == (1, f"Error: {message}")


def test_the_command_says_that_its_extra_is_missing(llm_in_process, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    done = llm_in_process("evolink", "sandbox")

    assert (done.returncode, done.stderr) == (
        1,
        "Error: the sandbox needs its extra: llm install 'llm-evolink[sandbox]'\n",
    )
