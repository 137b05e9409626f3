"""What a backend does not accept, and backends that fail."""

import itertools
import json
import threading

import httpx
import llm
import pytest

from tests.four_ways import (
    MODEL,
    Plain,
    Scripted,
    ask_backend,
    error_of,
    post_to,
    sandbox_of,
    tool,
)
from tests.llm_process import TIMEOUT

PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def fail(error):
    """Return an item of a script that raises this error."""

    def step(_):
        raise error

    return step


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (Scripted(), {"n": 2}, "n: a backend gives one reply"),
        (Plain(), {"tools": [tool("add")]}, "Plain: plain does not support tools"),
        (
            Plain(),
            {"messages": [{"role": "user", "content": [PICTURE]}]},
            "This model does not support attachments",
        ),
    ],
)
def test_a_request_that_the_backend_does_not_support_is_refused(model, fields, message):
    error = error_of(ask_backend(model, **fields))
    assert (error["code"], error["message"]) == (400, message)


def test_an_option_that_the_backend_refuses_is_named():
    class Cold(Scripted):
        class Options(llm.Options):
            stop: str | None = None

    error = error_of(ask_backend(Cold(), stop=["a", "b"]))
    assert (error["code"], error["param"]) == (400, "stop")
    assert error["message"] == "stop: Input should be a valid string"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (llm.ModelError("No luck\n today"), "No luck today"),
        (ValueError(), "ValueError"),
        (SystemExit(2), "2"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_backend_that_fails_is_an_upstream_error(error, reason, stream):
    response = ask_backend(Scripted(fail(error)), stream=stream)
    assert response.status_code == 502
    assert response.json() == {
        "error": {
            "code": 502,
            "message": f"scripted failed: {reason}",
            "type": "upstream_error",
            "fallback_suggestion": "try different model",
        }
    }


SECRET = "bk-BACKEND-SECRET-0123456789"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        llm.ModelError(f"403 for url https://example.com/?key={SECRET}\x1b]0;pwned\x07"),
        ValueError(f"Authorization: Bearer {SECRET}"),
        SystemExit(f"bad key {SECRET}"),
    ],
)
@pytest.mark.parametrize("script", [[], ["Hi"]])
def test_the_key_of_a_backend_and_escapes_never_reach_a_client(error, stream, script):
    model = Scripted(*script, fail(error))
    model.needs_key = "scripted"
    model.get_key = lambda: SECRET
    with sandbox_of(model) as client:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": stream}
        text = client.post("/v1/chat/completions", json=body).text
    assert "scripted failed: " in text
    assert SECRET not in text
    assert "u001b" not in text


def test_the_key_of_a_backend_is_not_in_a_400():
    class Keyed(Plain):
        needs_key = "keyed"

        def get_key(self):
            return SECRET

        def prompt(self, *arguments, **options):
            raise ValueError(f"not with {SECRET}\x1b[2J")

    error = error_of(ask_backend(Keyed()))
    assert error["code"] == 400
    assert error["message"].startswith("not with ")
    assert SECRET not in error["message"]
    assert "\x1b" not in error["message"]


def test_a_backend_that_fails_after_text_is_an_upstream_error():
    assert ask_backend(Scripted("Hi", fail(llm.ModelError("No luck")))).status_code == 502


def test_a_backend_that_fails_in_a_stream_ends_it_with_an_error():
    with sandbox_of(Scripted("Hi", fail(llm.ModelError("No luck")))) as client:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
        response = client.post("/v1/chat/completions", json=body)
    *_, last, rest = response.text.split("\n\n")
    assert (response.status_code, rest) == (200, "")
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["type"], error["message"]) == ("upstream_error", "scripted failed: No luck")


@pytest.mark.parametrize("stream", [False, True])
def test_the_server_stops_while_the_backend_runs(stream):
    started, go_on, waited, errors = threading.Event(), threading.Event(), [], []

    def wait(client):
        try:
            client.post(
                "/v1/chat/completions",
                json={"model": MODEL, "messages": [{"role": "user", "content": "a"}]}
                | {"stream": stream},
            )
        except httpx.TransportError as error:
            errors.append(error)

    def compute(_):
        started.set()
        waited.append(go_on.wait(TIMEOUT))

    model = Scripted("one", compute, "two")
    with sandbox_of(model) as client:
        thread = threading.Thread(target=wait, args=(client,))
        thread.start()
        assert started.wait(TIMEOUT)
    assert waited == []  # The server has stopped, and the model has not.
    thread.join(TIMEOUT)
    assert len(errors) == 1
    go_on.set()
    assert model.finished.wait(TIMEOUT)


def test_the_backend_is_stopped_when_the_client_disconnects():
    model = Scripted()
    model.script = itertools.repeat("one")  # The model ends because nobody listens, or never.
    body = {"model": MODEL, "messages": [{"role": "user", "content": "a"}], "stream": True}
    with sandbox_of(model) as client:
        with client.stream("POST", "/v1/chat/completions", json=body) as response:
            next(response.iter_lines())
        assert model.finished.wait(TIMEOUT)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.0.0.2"])
def test_a_backend_that_calls_the_sandbox_itself_is_an_error(environment, monkeypatch, host):
    model = llm.get_model(MODEL)
    other = Plain()
    with sandbox_of(model) as client:
        monkeypatch.setenv("EVOLINK_BASE_URL", f"http://{host}:{client.base_url.port}/v1/")
        error = error_of(post_to(client))
        assert error["code"] == 502
        assert error["message"] == f"The backend is the sandbox itself, {client.base_url}".rstrip(
            "/"
        )
    with sandbox_of(other) as client:
        other.api_base = f"http://{host}:{client.base_url.port}/v1"
        assert post_to(client).status_code == 502
        other.api_base = f"http://{host}:1/v1"
        assert post_to(client).status_code == 200
        other.api_base = f"http://192.0.2.1:{client.base_url.port}"
        assert post_to(client).status_code == 200
