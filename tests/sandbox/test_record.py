"""The file of requests that the sandbox received: --record FILE."""

import base64
import json
import stat
import threading
import time
from datetime import datetime
from types import SimpleNamespace

import httpx
import pytest

from llm_evolink.sandbox import app, serve
from tests.four_ways import MODEL, client_of, post_to
from tests.llm_process import TIMEOUT

KEY = "sk-test-0123456789abcdef"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "grüß dich"}]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "requests.jsonl"


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def send(server, path="/v1/chat/completions", key=KEY, **options):
    headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
    with httpx.Client(base_url=server.url, trust_env=False, timeout=TIMEOUT) as client:
        return client.post(path, headers=headers, **options)


def test_a_request_is_a_line(monkeypatch, path):
    clock = SimpleNamespace(now=lambda zone: datetime(2026, 11, 20, 12, 30, 15, 678_901, zone))
    monkeypatch.setattr(app, "datetime", clock)
    with serve(record=path) as server:
        send(server, json=BODY)
        (entry,) = read(path)
    headers = entry.pop("headers")
    assert headers.pop("user-agent").startswith("python-httpx/")
    assert headers.pop("accept-encoding")
    assert headers == {
        "accept": "*/*",
        "connection": "keep-alive",
        "content-length": "81",
        "content-type": "application/json",
        "host": server.url.removeprefix("http://"),
    }
    assert entry == {
        "time": "2026-11-20T12:30:15.678+00:00",
        "method": "POST",
        "path": "/v1/chat/completions",
        "body": BODY,
        "status": 200,
    }


def test_a_stream_is_recorded_as_well(path):
    with serve(record=path) as server, client_of(server) as client:
        post_to(client, stream=True)
        (entry,) = read(path)
    assert (entry["body"]["stream"], entry["status"]) == (True, 200)


def test_lines_are_appended(path):
    for _ in range(2):
        with serve(record=str(path)) as server:
            send(server, json=BODY)
    assert len(read(path)) == 2


def test_a_refused_request_is_recorded(path):
    with serve(record=path, fail=[(429, 1)]) as server:
        send(server, json=BODY)
        send(server, content=b"no \xff JSON")
        send(server, "/v1/other?a=b", json=BODY)
    assert [(entry["path"], entry["body"], entry["status"]) for entry in read(path)] == [
        ("/v1/chat/completions", BODY, 429),
        ("/v1/chat/completions", "no \N{REPLACEMENT CHARACTER} JSON", 400),
        ("/v1/other", None, 404),
    ]


def test_no_key_is_recorded(path):
    with serve(record=path) as server:
        body = {**BODY, "user": f"I am {KEY}", KEY: [KEY, 1]}
        headers = {"X-Api-Key": "other-key", "Cookie": "session=1", "User-Agent": f"me {KEY}"}
        send(server, f"/v1/chat/completions?key={KEY}", json=body, headers=headers)
        send(server, f"/{KEY}", json=body)
    content = path.read_text()
    assert not any(secret in content for secret in (KEY, "other-key", "session"))
    first, second = read(path)
    assert first["headers"]["user-agent"] == "me [key]"
    assert (first["body"]["user"], first["body"]["[key]"]) == ("I am [key]", ["[key]", 1])
    assert second["path"] == "/[key]"


def test_a_short_key_is_not_replaced(path):
    with serve(record=path) as server:
        send(server, json=BODY, key="user")
    assert read(path)[0]["body"] == BODY


def test_the_body_of_a_request_without_a_key_is_not_read(path):
    with serve(record=path) as server:
        send(server, json=BODY, headers={"Authorization": ""})
    (entry,) = read(path)
    assert (entry["body"], entry["status"]) == (None, 401)


OTHER = "Xy/z+0123456789"


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({}, KEY),
        ({}, KEY.upper()),
        ({}, base64.b64encode(KEY.encode()).decode()),
        ({}, base64.b64encode(f"Bearer {KEY}".encode()).decode()),
        ({"Authorization": f"Bearer {KEY} extra-words"}, KEY),
        ({"Authorization": f"Bearer {KEY} extra-words"}, f"{KEY} extra-words"),
        ({"Authorization": f"Bearer {KEY} extra-words"}, "extra-words"),
        ({"X-Api-Key": OTHER}, OTHER),
        ({"X-Api-Key": OTHER}, "Xy%2Fz%2B0123456789"),
        ({"X-Anything": 'a"quoted"key'}, 'a"quoted"key'),
        ({"Cookie": f"a=b; session={OTHER}"}, OTHER),
    ],
)
def test_a_key_is_removed_in_each_form(path, headers, secret):
    with serve(record=path) as server:
        send(server, json={**BODY, "user": f"before {secret} after"}, headers=headers)
    (entry,) = read(path)
    assert entry["body"]["user"] == "before [key] after"


@pytest.mark.parametrize("mode", [None, 0o644])
def test_only_the_owner_can_read_the_file(path, mode):
    if mode is not None:
        path.touch()
        path.chmod(mode)
    with serve(record=path) as server:
        send(server, json=BODY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(read(path)) == 1


def test_an_unpaired_surrogate_is_recorded_as_a_question_mark(path):
    with serve(record=path) as server:
        send(server, content=b'"\\ud83d"', headers={"Content-Type": "application/json"})
    assert read(path)[0]["body"] == "?"


def test_an_unanswered_request_has_no_status(path):
    with serve(record=path, latency=3600) as server:
        thread = threading.Thread(target=abandon, args=(server,))
        thread.start()
        while not server.requests:
            time.sleep(0.005)
    thread.join(TIMEOUT)
    assert read(path)[0]["status"] is None


def abandon(server):
    with pytest.raises(httpx.TransportError):
        send(server, json=BODY)


def test_a_line_that_cannot_be_written_is_reported(full_disk):
    lines = []
    with serve(record=full_disk, log=lines.append) as server:
        assert send(server, json=BODY).status_code == 200
        assert send(server, json=BODY).status_code == 200
    reported = [line for line in lines if not line.startswith("POST")]
    assert reported == ["Not recorded: No space left on device"] * 2


def test_a_deeply_nested_body_is_recorded_or_reported(path):
    lines = []
    depths = range(850, 1000, 4)
    with serve(record=path, log=lines.append) as server:
        for depth in depths:
            content = b"[" * depth + b"]" * depth
            assert send(server, content=content).status_code == 400
    reported = [line for line in lines if line == "Not recorded: nested too deeply"]
    assert len(path.read_text().splitlines()) + len(reported) == len(depths)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(IsADirectoryError) as caught, serve(record=tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)
