"""sync, sync_detailed and their asyncio counterparts: JSON bodies, other bodies, failures."""

from typing import Any

import httpx
import pytest

from generated_client import errors
from generated_client.models import (
    AssistantMessage,
    ChatCompletionResponse,
    Choice,
    ErrorResponse,
    ErrorResponseError,
    Usage,
)
from tests import scripted_server
from tests.four_ways import ASYNC_CALLS, KEY, SYNC_CALLS, Calls, Parsed, connect
from tests.scripted_server import replying


def test_detailed_gives_status_headers_content_and_model(calls: Calls) -> None:
    handler = replying(200, b'{"id": "x"}', x_request_id="abc")
    with scripted_server.serve(handler) as server:
        response = calls.detailed(connect(server.url))
    assert type(response.status_code) is int
    assert (response.status_code, response.content) == (200, b'{"id": "x"}')
    assert response.headers["X-Request-Id"] == "abc"
    assert response.parsed == ChatCompletionResponse(id="x")
    [sent] = server.requests
    assert (sent.method, sent.path) == ("POST", "/v1/chat/completions")
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    assert sent.json() == {
        "model": "gemini-3.5-flash",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def known(model: Any, **additional: Any) -> Any:
    model.additional_properties.update(additional)
    return model


REPLY = {
    "id": "chatcmpl-1",
    "choices": [{"index": 0, "message": {"content": "Hi", "new": [1]}, "finish_reason": "new"}],
    "usage": {"prompt_tokens": 3, "new": 0.5},
    "system_fingerprint": None,
}


@pytest.mark.parametrize(
    ("status", "body", "parsed"),
    [
        pytest.param(
            200,
            REPLY,
            known(
                ChatCompletionResponse(
                    id="chatcmpl-1",
                    choices=[
                        Choice(
                            index=0,
                            message=known(AssistantMessage(content="Hi"), new=[1]),
                            finish_reason="new",
                        )
                    ],
                    usage=known(Usage(prompt_tokens=3), new=0.5),
                ),
                system_fingerprint=None,
            ),
            id="unknown values and fields",
        ),
        pytest.param(200, {}, ChatCompletionResponse(), id="nothing in it"),
        pytest.param(
            200,
            {"choices": None, "usage": None},
            ChatCompletionResponse(choices=None, usage=None),
            id="null choices",
        ),
        pytest.param(
            200,
            {"choices": [{"message": None}]},
            ChatCompletionResponse(choices=[Choice(message=None)]),
            id="null message",
        ),
        *(
            pytest.param(
                status,
                {"error": {"code": status, "message": "No", "type": "t", "status": "S"}},
                ErrorResponse(
                    error=known(
                        ErrorResponseError(code=status, message="No", type_="t"), status="S"
                    )
                ),
                id=f"error {status}",
            )
            for status in (400, 401, 402, 403, 404, 413, 429, 500, 502, 503)
        ),
        pytest.param(
            429,
            {"error": {"code": "rate_limited"}},
            ErrorResponse(error=ErrorResponseError(code="rate_limited")),
            id="code is text",
        ),
        pytest.param(500, {"error": None}, ErrorResponse(error=None), id="null error"),
    ],
)
def test_a_body_that_fits_is_parsed(
    calls: Calls, status: int, body: dict[str, Any], parsed: Parsed
) -> None:
    with scripted_server.serve(replying(status, body)) as server:
        value = calls.parsed(connect(server.url))
        assert calls.detailed(connect(server.url)).parsed == value
    assert value == parsed
    assert value.to_dict() == body


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(200, b"", errors.UnexpectedResponse, id="empty"),
        pytest.param(200, b"null", errors.UnexpectedResponse, id="null"),
        pytest.param(200, b"[]", errors.UnexpectedResponse, id="an array"),
        pytest.param(200, b'"x"', errors.UnexpectedResponse, id="a string"),
        pytest.param(200, b"{", errors.UnexpectedResponse, id="half"),
        pytest.param(200, b'{"id": "\xff"}', errors.UnexpectedResponse, id="not UTF-8"),
        pytest.param(200, b'{"choices": 5}', errors.UnexpectedResponse, id="number of choices"),
        pytest.param(200, b'{"choices": [null]}', errors.UnexpectedResponse, id="null choice"),
        pytest.param(200, b'{"choices": ["x"]}', errors.UnexpectedResponse, id="text choice"),
        pytest.param(200, b'{"usage": "x"}', errors.UnexpectedResponse, id="text usage"),
        pytest.param(
            200, b'{"a":' * 100_000, errors.UnexpectedResponse, id="deep nesting, not ended"
        ),
        pytest.param(
            200, b'{"a":' * 9999 + b"1" + b"}" * 9999, errors.UnexpectedResponse, id="deep nesting"
        ),
        pytest.param(200, b"<html>", errors.UnexpectedResponse, id="HTML"),
        pytest.param(502, b"<html>", errors.UnexpectedResponse, id="HTML with 502"),
        pytest.param(
            200, b'{"error": {"message": "No"}}', errors.UnexpectedResponse, id="an error with 200"
        ),
        pytest.param(401, b'{"error": "No"}', errors.UnexpectedResponse, id="text error"),
        pytest.param(520, b"<html>", errors.UnexpectedStatus, id="HTML with 520"),
        pytest.param(598, b'{"error": {}}', errors.UnexpectedStatus, id="JSON with 598"),
        pytest.param(599, b"", errors.UnexpectedStatus, id="nothing with 599"),
        pytest.param(999, b"", errors.UnexpectedStatus, id="nothing with 999"),
        pytest.param(302, b"", errors.UnexpectedStatus, id="redirect"),
        pytest.param(201, b"{}", errors.UnexpectedStatus, id="another success"),
    ],
)
def test_any_other_response_is_an_error_or_none(
    status: int, body: bytes, error: type[errors.APIError]
) -> None:
    calls = SYNC_CALLS
    with scripted_server.serve(replying(status, body, content_type="x/y")) as server:
        response = calls.detailed(connect(server.url))
        assert calls.parsed(connect(server.url, raise_on_unexpected_status=False)) is None
        with pytest.raises(error) as raised:
            calls.parsed(connect(server.url))
    assert (response.status_code, response.content, response.parsed) == (status, body, None)
    assert type(raised.value) is error
    assert isinstance(raised.value, errors.UnexpectedResponse)
    assert (raised.value.status_code, raised.value.content) == (status, body)
    assert raised.value.headers["content-type"] == "x/y"
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_the_asyncio_functions_raise_too() -> None:
    calls = ASYNC_CALLS
    with scripted_server.serve(replying(520, b"<html>")) as server:
        assert calls.detailed(connect(server.url)).parsed is None
        assert calls.parsed(connect(server.url, raise_on_unexpected_status=False)) is None
        with pytest.raises(errors.UnexpectedStatus):
            calls.parsed(connect(server.url))


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        pytest.param(lambda reply: reply.cut(), httpx.RemoteProtocolError, id="no answer"),
        pytest.param(lambda reply: reply.cut(reset=True), httpx.ReadError, id="reset"),
        pytest.param(
            lambda reply: (reply.head(200, content_length=9), reply.send("{"), reply.cut()),
            httpx.RemoteProtocolError,
            id="half a body",
        ),
    ],
)
def test_a_failure_of_the_connection_is_httpx_s(
    calls: Calls, handler: scripted_server.Handler, error: type[Exception]
) -> None:
    with scripted_server.serve(handler) as server, pytest.raises(error) as raised:
        calls.parsed(connect(server.url))
    assert KEY not in f"{raised.value!r} {vars(raised.value)}"


def test_a_server_that_sends_no_data_is_httpx_s_time_out(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted_server.in_memory(monkeypatch, scripted_server.time_out)
    with pytest.raises(httpx.ReadTimeout) as raised:
        calls.parsed(connect("http://127.0.0.1"))
    assert KEY not in f"{raised.value!r} {vars(raised.value)}"
