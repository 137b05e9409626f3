"""Requests that the sandbox refuses, with the error that the document names."""

import base64

import httpx
import pytest

from llm_evolink.sandbox import Server
from llm_evolink.sandbox.document import request_schema, resolve
from tests.four_ways import MODEL, check_documented, error_of, post_to, tool
from tests.llm_process import TIMEOUT

URL = "/v1/chat/completions"


USER = {"role": "user", "content": "hello"}
REQUEST = resolve(request_schema())["properties"]
HOTTEST = REQUEST["temperature"]["maximum"]
MESSAGE = resolve(REQUEST["messages"]["items"])["properties"]


def one_of(schema) -> str:
    """Return what a value that is not in the schema's list of values is not."""
    return "is not one of " + ", ".join(f'"{value}"' for value in schema["enum"])


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer invalid", "Basic c2FuZGJveA==", "sandbox"],
)
def test_a_request_without_a_valid_token_is_not_authenticated(server, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    response = httpx.post(
        server.url + URL, json={}, headers=headers, trust_env=False, timeout=TIMEOUT
    )
    assert response.status_code == 401
    assert response.json() == {
        "error": {
            "code": 401,
            "message": "Invalid or expired token",
            "type": "authentication_error",
        }
    }
    assert len(response.headers["x-request-id"]) == 32


def test_the_scheme_of_the_token_can_be_in_any_case(server):
    with httpx.Client(
        base_url=server.url,
        headers={"Authorization": "bearer x"},
        trust_env=False,
        timeout=TIMEOUT,
    ) as client:
        assert post_to(client).status_code == 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The body of the request is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b'{"a": NaN}', "The body of the request is not JSON: NaN is not JSON"),
        (b"[" * 100_000, "The body of the request is not JSON: nested too deeply"),
        (b"\xff", "The body of the request is not JSON: 'utf-8' codec can't decode byte 0xff"),
        (b"[]", "The body of the request is not a JSON object"),
    ],
)
def test_a_body_other_than_a_json_object_is_refused(http, content, message):
    response = http.post(URL, content=content, headers={"Content-Type": "application/json"})
    error = error_of(response)
    assert (error["code"], error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith(message)


def test_a_body_must_be_sent_as_json(http):
    error = error_of(http.post(URL, content=b"{}", headers={"Content-Type": "text/plain"}))
    assert error["code"] == 400
    assert error["message"] == "The Content-Type of the request is not application/json"


def test_the_content_type_can_have_parameters(http):
    body = b'{"model": "gemini-3.5-flash", "messages": [{"role": "user", "content": "a"}]}'
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert http.post(URL, content=body, headers=headers).status_code == 200


def test_another_model_is_not_found(post):
    response = post(model="gemini-9")
    assert response.status_code == 404
    assert response.json() == {
        "error": {
            "code": 404,
            "message": "Specified model not found",
            "type": "not_found_error",
            "param": "model",
            "fallback_suggestion": "gemini-3.5-flash",
        }
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "error_type"),
    [
        ("GET", "/", 404, "not_found_error"),
        ("POST", "/v1/completions", 404, "not_found_error"),
        ("POST", "/v1/chat/completions/", 404, "not_found_error"),
        ("GET", "/v1/chat/completions", 405, "invalid_request_error"),
    ],
)
def test_an_unknown_path_or_method_is_named(http, method, path, status, error_type):
    response = http.request(method, path)
    check_documented("ErrorResponse", response.json())
    assert response.status_code == status
    assert "x-request-id" in response.headers
    assert response.json()["error"] == {
        "code": status,
        "message": f"The sandbox has no {method} {path}",
        "type": error_type,
        "fallback_suggestion": "POST /v1/chat/completions",
    }


@pytest.mark.parametrize(
    ("fields", "param", "problem"),
    [
        ({"model": []}, "model", "[] is not of type string"),
        ({"model": 5}, "model", "5 is not of type string"),
        ({"messages": []}, "messages", "is empty"),
        ({"messages": "a"}, "messages", '"a" is not of type array'),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "is required"),
        (
            {"messages": [{"role": "human", "content": "a"}]},
            "messages.0.role",
            f'"human" {one_of(MESSAGE["role"])}',
        ),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages.0.content",
            "5 is not of type string or array or null",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content", "is empty"),
        (
            {"messages": [USER, {"role": "user", "content": [{"type": "text"}]}]},
            "messages.1.content.0.text",
            "is required",
        ),
        (
            {"messages": [{"role": "user", "content": [{"text": "a"}]}]},
            "messages.0.content.0.type",
            "is required",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages.0.content.0.image_url.url",
            "is required",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "audio"}]}]},
            "messages.0.content.0.type",
            '"audio" is not "text" or "image_url"',
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            "messages.0.content",
            "is required",
        ),
        (
            {"messages": [{"role": "system", "content": "a"}]},
            "messages",
            "there is nothing to answer beside the system prompt",
        ),
        ({"stream": 1}, "stream", "1 is not of type boolean"),
        ({"stream_options": True}, "stream_options", "true is not of type object"),
        ({"messages": [None]}, "messages.0", "null is not of type object"),
        ({"response_format": 5}, "response_format", "5 is not of type object"),
        ({"temperature": "hot"}, "temperature", '"hot" is not of type number'),
        (
            {"temperature": HOTTEST + 0.1},
            "temperature",
            f"{HOTTEST + 0.1} is greater than the maximum of {HOTTEST}",
        ),
        ({"max_tokens": 0}, "max_tokens", "0 is less than the minimum of 1"),
        ({"n": 9}, "n", "9 is greater than the maximum of 8"),
        ({"stop": 5}, "stop", "5 is not of type string or array"),
        ({"stop": ["a", 5]}, "stop.1", "5 is not of type string"),
        (
            {"reasoning_effort": "vast"},
            "reasoning_effort",
            f'"vast" {one_of(REQUEST["reasoning_effort"])}',
        ),
        (
            {"tool_choice": "x"},
            "tool_choice",
            '"x" is not one of "none", "auto", "required"',
        ),
        ({"tool_choice": {"type": "x"}}, "tool_choice.type", '"x" is not "function"'),
        ({"tool_choice": "required"}, "tool_choice", '"required" needs tools'),
        (
            {"tool_choice": {"type": "function", "function": {"name": "b"}}, "tools": [tool("a")]},
            "tool_choice.function.name",
            'no tool has the name "b"',
        ),
        (
            {"tools": [{"type": "function", "function": {}}]},
            "tools.0.function.name",
            "is required",
        ),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "is required",
        ),
    ],
)
def test_the_error_names_the_invalid_field(http, fields, param, problem):
    error = error_of(http.post(URL, json={"model": MODEL, "messages": [USER], **fields}))
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"] == f"{param}: {problem}"


def test_an_error_message_is_shortened(post):
    error = error_of(post([{"role": "x" * 1000, "content": "a"}]))
    assert len(error["message"]) == 293
    assert error["message"].endswith(one_of(MESSAGE["role"]))


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\3\0\0\0\2" + b"\0" * 54


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("file:///etc/passwd", "is neither an http(s) URL nor data:<type>;base64,<image>"),
        ("data:image/png,abc", "is neither an http(s) URL nor data:<type>;base64,<image>"),
        ("data:image/png;base64", "is neither an http(s) URL nor data:<type>;base64,<image>"),
        (
            data_url(b"GIF89a", "image/gif"),
            '"image/gif" is not the type of a jpeg, png or webp image',
        ),
        ("data:image/png;base64,a b", "the image is not base64"),
        (data_url(b""), "not a readable jpeg, png or webp image"),
        (data_url(PNG[:20]), "not a readable jpeg, png or webp image"),
        (data_url(b"\xff\xd8"), "not a readable jpeg, png or webp image"),
        (data_url(b"\xff\xd8\0"), "not a readable jpeg, png or webp image"),
        (data_url(b"RIFF\0\0\0\0WEBPVP8?"), "not a readable jpeg, png or webp image"),
    ],
)
def test_an_image_that_cannot_be_read_is_refused(post, url, problem):
    error = error_of(
        post([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
    )
    assert error["param"] == "messages.0.content.0.image_url.url"
    assert error["message"].startswith(f"messages.0.content.0.image_url.url: {problem}")


@pytest.mark.parametrize(("size", "status"), [(10 * 2**20, 200), (10 * 2**20 + 1, 413)])
def test_an_image_is_at_most_10_mib(post, size, status):
    url = data_url(PNG + b"\0" * (size - len(PNG)))
    response = post(
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    )
    assert response.status_code == status
    if status == 413:
        assert response.json()["error"] == {
            "code": 413,
            "message": "Image exceeds the size limit",
            "type": "request_too_large_error",
            "param": "content",
            "fallback_suggestion": "compress image to under 10MB",
        }


def test_the_server_keeps_requests_without_the_key(server: Server, post):
    server.requests.clear()
    post("what was it?")
    (request,) = server.requests
    assert request.body == {
        "model": "gemini-3.5-flash",
        "messages": [{"role": "user", "content": "what was it?"}],
    }
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers


def test_the_server_keeps_a_request_with_an_unreadable_body(server: Server, http):
    server.requests.clear()
    http.post(URL, content=b"no")
    assert [request.body for request in server.requests] == [None]


NULLS = dict.fromkeys(
    (
        *("temperature", "max_tokens", "max_completion_tokens", "top_p", "stop", "seed", "n"),
        *("stream", "stream_options", "tools", "tool_choice", "response_format", "logprobs"),
        *("top_logprobs", "reasoning_effort", "frequency_penalty", "presence_penalty", "user"),
    )
)


@pytest.mark.parametrize(
    "fields",
    [
        NULLS,
        {"tools": []},
        {"messages": [{**USER, "tool_calls": None, "name": None}]},
        {"messages": [USER, {"role": "assistant", "content": "a", "tool_calls": []}, USER]},
        {"tools": [{"type": "function", "function": {"name": "a", "description": None}}]},
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": None}}]},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "strict": None, "schema": {"const": None}},
            }
        },
    ],
)
def test_null_and_empty_fields_of_the_openai_format_are_accepted(http, fields):
    response = http.post(URL, json={"model": MODEL, "messages": [USER], **fields})
    assert response.status_code == 200, response.text


def test_a_request_with_too_many_values_is_refused(http):
    stop = ["a"] * 100_000
    error = error_of(http.post(URL, json={"model": MODEL, "messages": [USER], "stop": stop}))
    assert error["message"] == "The request has more than 100000 JSON values"


def test_stop_has_at_most_100_items(post):
    error = error_of(post(stop=["a"] * 101))
    assert (error["param"], error["message"]) == ("stop", "stop: has more than 100 items")
