"""The server that serve() starts: start, stop, failures, log, limits."""

import re
import socket
import subprocess
import sys
import threading
from contextlib import closing

import httpx
import pytest

from llm_evolink.sandbox import serve
from llm_evolink.sandbox.document import Refusal, documented_errors
from llm_evolink.sandbox.server import _listening_socket
from tests.four_ways import MODEL, check_documented, client_of, post_to
from tests.llm_process import TIMEOUT

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


def test_serve_uses_a_free_port_until_the_block_ends():
    with serve() as server:
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", server.url)
        assert server.requests == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False, timeout=TIMEOUT)


def test_serve_can_listen_on_ipv6(ipv6):
    with serve(host="::1") as server, client_of(server) as client:
        assert server.url.startswith("http://[::1]:")
        assert post_to(client).status_code == 200


def test_a_port_in_use_raises_an_error():
    with serve() as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), serve(port=port):
            pass


def test_the_body_of_a_response_is_not_delayed():
    with (
        closing(_listening_socket("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
        closing(listener.accept()[0]) as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_server_stops_while_a_response_is_delayed():
    failures: list[Exception] = []
    lines: list[str] = []
    # An hour: the test would run into its own time limit if the answer were awaited.
    with serve(latency=3600, log=lines.append) as server, client_of(server) as client:
        thread = threading.Thread(target=post_until_disconnected, args=(client, failures))
        thread.start()
        wait_until(lambda: server.requests)
    thread.join()
    assert len(failures) == 1
    assert re.fullmatch(r"POST /v1/chat/completions - \d+ ms", lines[0])


def post_until_disconnected(client, failures):
    try:
        client.post("/v1/chat/completions", json=BODY, timeout=None)
    except httpx.TransportError as error:
        failures.append(error)


def wait_until(condition):
    """Return once the condition holds; the test's own time limit ends it otherwise."""
    while not condition():
        threading.Event().wait(0.001)


def test_the_server_stops_while_a_request_is_processed(monkeypatch):
    started, released = threading.Event(), threading.Event()

    def compute(*_):
        started.set()
        released.wait()
        raise Refusal(500)

    monkeypatch.setattr("llm_evolink.sandbox.route.check_request", compute)
    monkeypatch.setattr("llm_evolink.sandbox.server.STOP_TIMEOUT", 0.01)
    threads = threading.active_count()
    with serve() as server, client_of(server) as client:
        thread = threading.Thread(target=post_until_disconnected, args=(client, []))
        thread.start()
        started.wait()
    # The block has ended, and the request has not.
    assert not released.is_set()
    released.set()
    wait_until(lambda: threading.active_count() <= threads)


@pytest.mark.parametrize("status", sorted(documented_errors()))
def test_a_fault_is_sent_as_documented_as_often_as_asked(status):
    with serve(fail=[(status, 2)]) as server, client_of(server) as client:
        responses = [post_to(client) for _ in range(3)]
        assert [response.status_code for response in responses] == [status, status, 200]
        assert responses[0].json() == {"error": documented_errors()[status]}
        retry_after = "0" if status in (429, 503) else None
        assert responses[0].headers.get("Retry-After") == retry_after
        assert len(server.requests) == 3


def test_faults_are_sent_in_the_order_given():
    with serve(fail=[(503, 1), (429, 1), (503, 1)]) as server, client_of(server) as client:
        assert [post_to(client).status_code for _ in range(4)] == [503, 429, 503, 200]


def test_an_undocumented_fault_raises_an_error():
    documented = ", ".join(map(str, sorted(documented_errors())))
    problem = f"^418 is not a documented error; those are {documented}"
    with pytest.raises(ValueError, match=problem), serve(fail=[(418, 1)]):
        pass


def test_each_request_is_one_line_of_the_log():
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


def test_the_server_causes_no_warning_in_development_mode():
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
        timeout=TIMEOUT,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf"), 86401])
def test_seconds_out_of_range_raise_an_error(seconds):
    for name in ("latency", "chunk_delay"):
        with pytest.raises(ValueError, match="seconds from 0 to 86400"), serve(**{name: seconds}):
            pass


def test_a_fault_can_be_repeated_without_limit():
    with serve(fail=[(503, 10**30)]) as server, client_of(server) as client:
        assert [post_to(client).status_code for _ in range(2)] == [503, 503]


def test_keeping_requests_can_be_switched_off():
    with serve(keep_requests=False) as server, client_of(server) as client:
        assert post_to(client).status_code == 200
        assert server.requests == []


def test_further_models_can_be_accepted():
    with serve(models=["gpt-5.1", "other"]) as server, client_of(server) as client:
        assert post_to(client, model="gpt-5.1").json()["model"] == "gpt-5.1"
        assert post_to(client).status_code == 200
        assert post_to(client, model="gpt-5").status_code == 404


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


def test_a_client_that_disconnects_is_logged_without_a_status():
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


def test_undocumented_fields_are_named_in_the_log():
    lines: list[str] = []
    with serve(log=lines.append) as server, client_of(server) as client:
        assert post_to(client, new_field=40, other="me").status_code == 200
        assert post_to(client, **{f"\x1b{n}": n for n in range(7)}).status_code == 200
    assert [line.partition(" ms")[2] for line in lines] == [
        ', not in the document: "new_field", "other"',
        ', not in the document: "\\u001b0", "\\u001b1", "\\u001b2", "\\u001b3", "\\u001b4", 2 more',
    ]
