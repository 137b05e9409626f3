import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from starlette.datastructures import Headers

from llm_evolink import commands
from llm_evolink.sandbox import serve
from llm_evolink.sandbox.document import Refusal, documented_errors
from llm_evolink.sandbox.hosts import HostCheck
from tests import llm_process
from tests.four_ways import MODEL, check_documented, client_of, post_to, text_of
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


def test_it_stops_although_a_client_waits():
    failures: list[Exception] = []
    lines: list[str] = []
    # An hour: the test would run into its own time limit if the answer were awaited.
    with serve(latency=3600, log=lines.append) as server, client_of(server) as client:
        thread = threading.Thread(target=send_in_vain, args=(client, failures))
        thread.start()
        wait_until(lambda: server.requests)
    thread.join()
    assert len(failures) == 1
    assert re.fullmatch(r"POST /v1/chat/completions - \d+ ms", lines[0])


def send_in_vain(client, failures):
    try:
        client.post("/v1/chat/completions", json=BODY, timeout=None)
    except httpx.TransportError as error:
        failures.append(error)


def wait_until(condition):
    """Return once the condition holds; the test's own time limit ends it otherwise."""
    while not condition():
        threading.Event().wait(0.001)


def test_it_stops_although_a_request_is_still_computed(monkeypatch):
    started, released = threading.Event(), threading.Event()

    def compute(*_):
        started.set()
        released.wait()
        raise Refusal(500)

    monkeypatch.setattr("llm_evolink.sandbox.route.check_request", compute)
    monkeypatch.setattr("llm_evolink.sandbox.server.STOP_TIMEOUT", 0.01)
    threads = threading.active_count()
    with serve() as server, client_of(server) as client:
        thread = threading.Thread(target=send_in_vain, args=(client, []))
        thread.start()
        started.wait()
    # The block has ended, and the request has not.
    assert not released.is_set()
    released.set()
    wait_until(lambda: threading.active_count() == threads)


@pytest.mark.parametrize("status", sorted(documented_errors()))
def test_a_failure_is_answered_as_documented_count_times(status):
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


def test_an_undocumented_failure_is_an_error():
    problem = r"^418 is not a documented error; those are 400, 401,"
    with pytest.raises(ValueError, match=problem), serve(fail=[(418, 1)]):
        pass


def test_each_request_is_logged_in_a_line():
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


def test_it_raises_no_warning():
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
    """Run `llm evolink sandbox` until the block ends."""
    with llm_process.start("evolink", "sandbox", *options, env=environ) as process:
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
    # Under coverage a process has asyncio's exceptions twice, and anyio does not catch its own.
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


def test_the_command_reports_that_a_port_is_in_use(environ):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(environ, "--port", str(port)) == (
            1,
            f"Error: the sandbox cannot listen on 127.0.0.1:{port}: the port is in use; "
            "name another with --port, or 0 for any free one",
        )


def test_the_command_reports_why_it_cannot_listen(environ):
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
def test_the_command_reports_which_option_is_wrong(environ, options, message):
    code, line = run(environ, *options)
    assert code == 2
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", ""], "--backend needs the name of a model; see: llm models list"),
        (["--backend", "none-such"], "Unknown model: none-such; see: llm models list"),
        (["--reply", "none-such"], "none-such: No such file or directory"),
        (["--record", "/"], "the sandbox cannot write /: Is a directory"),
        (
            ["--host", "a..b"],
            "the sandbox cannot listen on a..b:0: not a valid host name",
        ),
    ],
)
def test_the_command_reports_what_it_cannot_use(environ, options, message):
    assert run(environ, "--port", "0", *options) == (1, f"Error: {message}")


@pytest.mark.parametrize("package", commands._SANDBOX_REQUIREMENTS)
def test_the_command_reports_that_its_extra_is_missing(monkeypatch, package):
    monkeypatch.setattr(commands, "find_spec", lambda name: None if name == package else object())
    done = CliRunner().invoke(commands.EvolinkGroup("evolink"), ["sandbox"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert re.fullmatch(
        r"Error: the sandbox needs packages that are not installed; "
        r"add them with: llm install '.*\[sandbox\]'\n",
        done.stderr,
    )


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
def test_a_second_signal_ends_the_command_whatever_it_computes(environ, second):
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
                while process.stdout.readline() != "computing\n":
                    pass
                process.send_signal(signal.SIGINT)
                # Again until it ends: two signals of one number at once count as one.
                while process.poll() is None:
                    process.send_signal(second)
                    threading.Event().wait(0.01)
                assert process.returncode == 0
            assert process.stderr.read() == ""
        finally:
            process.kill()


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 86401])
def test_seconds_out_of_range_are_an_error(seconds):
    for name in ("latency", "chunk_delay"):
        with pytest.raises(ValueError, match="seconds from 0 to 86400"), serve(**{name: seconds}):
            pass


def test_a_failure_is_answered_for_as_long_as_one_likes():
    with serve(fail=[(503, 10**30)]) as server, client_of(server) as client:
        assert [post_to(client).status_code for _ in range(2)] == [503, 503]


def test_requests_are_not_kept_for_the_command():
    with serve(keep_requests=False) as server, client_of(server) as client:
        assert post_to(client).status_code == 200
        assert server.requests == []


def test_other_models_are_accepted_when_named():
    with serve(models=["gpt-5.1", "other"]) as server, client_of(server) as client:
        assert post_to(client, model="gpt-5.1").json()["model"] == "gpt-5.1"
        assert post_to(client).status_code == 200
        assert post_to(client, model="gpt-5").status_code == 404


REBINDING = "http://evil.example:8787"
NOT_LOCAL = "is not this machine; the sandbox serves no web sites"


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"Host": "evil.example:8787"}, "Host"),
        ({"Host": "192.0.2.1"}, "Host"),
        ({"Host": "localhost.evil.example"}, "Host"),
        ({"Host": "[::1"}, "Host"),
        ({"Host": ""}, "Host"),
        ({"Origin": REBINDING}, "Origin"),
        ({"Origin": "null"}, "Origin"),
        ({"Origin": REBINDING, "Host": "evil.example:8787"}, "Host"),
    ],
)
def test_a_request_of_another_web_site_is_refused(server, headers, param):
    with client_of(server) as client:
        response = client.post("/v1/chat/completions", json=BODY, headers=headers)
    assert response.status_code == 403
    assert len(response.headers["x-request-id"]) == 32
    error = response.json()["error"]
    assert error["message"] == f"The {param} of the request {NOT_LOCAL}"
    assert error["param"] == param


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8787"},
        {"Host": "LOCALHOST"},
        {"Host": "127.0.0.1"},
        {"Host": "[::1]:8787"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:3000"},
    ],
)
def test_a_request_of_this_machine_is_accepted(server, headers):
    with client_of(server) as client:
        assert client.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "address", "name", "accepted"),
    [
        ("127.0.0.1", "127.0.0.1", "evil.example", False),
        ("My-Box", "127.0.1.1", "my-box:80", True),
        ("0.0.0.0", "0.0.0.0", "anything.example", True),
    ],
)
def test_the_host_is_checked_on_loopback_alone(host, address, name, accepted):
    check = HostCheck(host, address).check
    if accepted:
        check(Headers({"host": name}))
        check(Headers({}))
    else:
        with pytest.raises(Refusal):
            check(Headers({"host": name}))


def test_the_token_is_checked_before_the_body_is_read(server):
    # 1 TB is announced, and nothing of it sent before the answer has come.
    with socket.create_connection(server.url.removeprefix("http://").split(":")) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 1000000000000\r\n\r\n"
        )
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_a_body_over_32_mib_is_refused(server, monkeypatch):
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a\r\n"
    with socket.create_connection(server.url.removeprefix("http://").split(":")) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % (32 * 2**20 + 1))
        assert connection.recv(12) == b"HTTP/1.1 413"
    monkeypatch.setattr("llm_evolink.sandbox.route.MAX_BODY_BYTES", 2**20)
    with client_of(server) as client:
        at_limit = client.post("/v1/chat/completions", content=b" " * 2**20)
        over = client.post("/v1/chat/completions", content=iter([b" " * 2**20, b" "]))
    assert at_limit.status_code == 400
    assert over.status_code == 413
    check_documented("ErrorResponse", over.json())
    assert over.json()["error"] == {
        "code": 413,
        "message": "The request is larger than 1 MiB",
        "type": "request_too_large_error",
        "param": "messages",
        "fallback_suggestion": "send less",
    }


def test_a_client_that_leaves_gets_no_status():
    lines: list[str] = []
    with serve(log=lines.append) as server:
        address = server.url.removeprefix("http://").split(":")
        with socket.create_connection(address) as connection:
            connection.sendall(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer a\r\nContent-Length: 9\r\n\r\n{"
            )
        wait_until(lambda: lines)
    assert re.fullmatch(r"POST /v1/chat/completions - \d+ ms", lines[0])


def test_fields_that_the_document_does_not_have_are_noted():
    lines: list[str] = []
    with serve(log=lines.append) as server, client_of(server) as client:
        assert post_to(client, top_k=40, user="me").status_code == 200
        assert post_to(client, **{f"\x1b{n}": n for n in range(7)}).status_code == 200
    assert [line.partition(" ms")[2] for line in lines] == [
        ', not in the document: "top_k", "user"',
        ', not in the document: "\\u001b0", "\\u001b1", "\\u001b2", "\\u001b3", "\\u001b4", 2 more',
    ]
