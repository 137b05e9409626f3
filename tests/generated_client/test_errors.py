"""The errors: one family, with what the server sent, and a message without the token."""

import copy
import inspect
import json
import pickle
from typing import Any

import httpx
import pytest

import generated_client
from generated_client import errors
from generated_client.api.chat_completion import create_chat_completion_quick as api
from generated_client.client import AuthenticatedClient
from generated_client.models import ErrorResponse, ErrorResponseError
from tests.four_ways import KEY, request

BUSY = {"error": {"code": 429, "message": "Too many requests", "type": "rate_limit_error"}}


def raised(response: httpx.Response, *, stream: bool) -> errors.APIError:
    """Return the error that a function raises for this response."""
    client = AuthenticatedClient(
        base_url="http://a",
        token=KEY,
        httpx_args={"transport": httpx.MockTransport(lambda _: response)},
    )

    def call() -> None:
        if not stream:
            api.sync(client=client, body=request())
        with api.sync_stream(client=client, body=request()) as chunks:
            list(chunks)

    with pytest.raises(errors.APIError) as error:
        call()
    return error.value


def test_every_error_is_an_api_error_with_a_docstring() -> None:
    assert generated_client.APIError is errors.APIError
    for name in errors.__all__:
        error = getattr(errors, name)
        assert issubclass(error, errors.APIError)
        assert inspect.getdoc(error)


@pytest.mark.parametrize(
    ("headers", "request_id"),
    [
        ({}, None),
        ({"X-Request-Id": "b"}, "b"),
        ({"X-Oneapi-Request-Id": "a", "X-Request-Id": "b"}, "a"),
        ({"X-Oneapi-Request-Id": "", "X-Request-Id": "b"}, "b"),
    ],
    ids=str,
)
def test_a_refused_stream_shows_the_server_s_message(
    headers: dict[str, str], request_id: str | None
) -> None:
    error = raised(httpx.Response(429, headers=headers, json=BUSY), stream=True)
    suffix = f" (request {request_id})" if request_id else ""
    size = len(error.content)
    assert str(error) == (
        f"Unexpected response: status 429, application/json, {size} bytes: "
        f"Too many requests{suffix}"
    )
    assert type(error) is errors.UnexpectedResponse
    assert error.request_id == request_id
    assert json.loads(error.content) == BUSY
    assert error.parsed == ErrorResponse(
        error=ErrorResponseError(code=429, message="Too many requests", type_="rate_limit_error")
    )


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param({"error": "No"}, ": No", id="text"),
        pytest.param({"error": "Label", "message": "No"}, ": No", id="label"),
        pytest.param({"message": "No"}, ": No", id="message"),
        pytest.param({"detail": [{"msg": "No", "loc": ["body"]}]}, ": No", id="detail"),
        pytest.param([{"error": {"message": "No"}}], ": No", id="list"),
        pytest.param({"error": {"message": 5}}, "", id="number"),
        pytest.param({}, "", id="nothing"),
        pytest.param([], "", id="empty list"),
        pytest.param(None, "", id="null"),
        pytest.param({"error": {"message": "a\x1b[31m\n\tb\u202e"}}, ": a [31m b", id="control"),
        pytest.param({"error": {"message": "x" * 501}}, f": {'x' * 499}…", id="501 characters"),
        pytest.param({"error": {"message": "x" * 500}}, f": {'x' * 500}", id="500 characters"),
        pytest.param(
            {"error": {"message": f"Key {KEY} is bad"}}, ": Key [token] is bad", id="token"
        ),
        pytest.param(
            {"error": {"message": "x" * 490 + KEY}},
            f": {'x' * 490}[token]",
            id="a token that would be cut",
        ),
    ],
)
def test_the_message_holds_the_server_s_on_one_line(body: Any, shown: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = httpx.Response(520, headers=headers, content=json.dumps(body))
    error = raised(response, stream=False)
    assert type(error) is errors.UnexpectedStatus
    what = f"Unexpected response: status 520, application/json, {len(error.content)} bytes"
    assert str(error) == what + shown
    assert repr(error) == f"UnexpectedStatus({what + shown!r})"


def test_headers_and_plain_text_are_shown_without_the_token_too() -> None:
    headers = {"Content-Type": f"text/plain; x={KEY}", "X-Request-Id": KEY}
    error = raised(httpx.Response(500, headers=headers, content=f"Bad {KEY}"), stream=True)
    assert str(error) == (
        "Unexpected response: status 500, text/plain; x=[token], "
        f"{len(error.content)} bytes: Bad [token] (request [token])"
    )
    assert error.parsed is None


def events(data: str) -> httpx.Response:
    headers = {"Content-Type": "text/event-stream", "X-Request-Id": "abc"}
    return httpx.Response(200, headers=headers, content=f"data: {data}\n\n")


@pytest.mark.parametrize(
    ("data", "error_class"),
    [
        ("[]", errors.InvalidEvent),
        (json.dumps(BUSY), errors.ErrorEvent),
        ('{"choices": []}', errors.IncompleteStream),
    ],
)
def test_an_error_of_a_stream_has_the_response(
    data: str, error_class: type[errors.APIError]
) -> None:
    error = raised(events(data), stream=True)
    assert type(error) is error_class
    assert isinstance(error, errors.StreamError)
    assert (error.status_code, error.content, error.request_id) == (200, b"", "abc")
    assert error.headers["content-type"] == "text/event-stream"
    parsed = ErrorResponse.from_dict(BUSY) if error_class is errors.ErrorEvent else None
    assert error.parsed == parsed


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize(
    "response", [httpx.Response(429, json=BUSY), events("[]"), events('{"error": "No"}')]
)
def test_an_error_can_be_copied_and_pickled(again: Any, response: httpx.Response) -> None:
    error = raised(response, stream=True)
    twin = again(error)
    assert (type(twin), twin.args, vars(twin)) == (type(error), error.args, vars(error))
