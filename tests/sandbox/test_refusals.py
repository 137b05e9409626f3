import base64

import httpx
import pytest

from llm_evolink.sandbox import Server
from llm_evolink.sandbox.signatures import sign
from tests.four_ways import MODEL, check_documented, error_of, post_to, tool

URL = "/v1/chat/completions"
USER = {"role": "user", "content": "hello"}
UNSIGNED = "Function call is missing a thought_signature in functionCall parts"


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer invalid", "Basic c2FuZGJveA==", "sandbox"],
)
def test_a_request_without_a_valid_token_is_not_authenticated(server, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    response = httpx.post(server.url + URL, json={}, headers=headers, trust_env=False)
    assert response.status_code == 401
    assert response.json() == {
        "error": {
            "code": 401,
            "message": "Invalid or expired token",
            "type": "authentication_error",
        }
    }
    assert len(response.headers["x-request-id"]) == 32


def test_the_scheme_of_the_token_may_be_in_any_case(server):
    with httpx.Client(
        base_url=server.url, headers={"Authorization": "bearer x"}, trust_env=False
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
def test_a_body_that_is_no_json_object_is_refused(http, content, message):
    response = http.post(URL, content=content, headers={"Content-Type": "application/json"})
    error = error_of(response)
    assert (error["code"], error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith(message)


def test_a_body_must_be_sent_as_json(http):
    error = error_of(http.post(URL, content=b"{}", headers={"Content-Type": "text/plain"}))
    assert error["code"] == 400
    assert error["message"] == "The Content-Type of the request is not application/json"


def test_the_content_type_may_have_parameters(http):
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
    ("method", "path", "status", "kind"),
    [
        ("GET", "/", 404, "not_found_error"),
        ("POST", "/v1/completions", 404, "not_found_error"),
        ("POST", "/v1/chat/completions/", 404, "not_found_error"),
        ("GET", "/v1/chat/completions", 405, "invalid_request_error"),
    ],
)
def test_an_unknown_path_or_method_is_said_to_be(http, method, path, status, kind):
    response = http.request(method, path)
    check_documented("ErrorResponse", response.json())
    assert response.status_code == status
    assert "x-request-id" in response.headers
    assert response.json()["error"] == {
        "code": status,
        "message": f"The sandbox has no {method} {path}",
        "type": kind,
        "fallback_suggestion": "POST /v1/chat/completions",
    }


JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}


@pytest.mark.parametrize(
    ("fields", "param", "problem"),
    [
        ({"model": 5}, "model", "5 is not of type 'string'"),
        ({"messages": []}, "messages", "[] should be non-empty"),
        ({"messages": "a"}, "messages", "'a' is not of type 'array'"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "is required"),
        (
            {"messages": [{"role": "human", "content": "a"}]},
            "messages.0.role",
            "'human' is not one of ['user', 'system', 'assistant', 'tool']",
        ),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages.0.content",
            "5 is not of type 'string' or 'array' or 'null'",
        ),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content", "[] should be non"),
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
            "'audio' is not 'text' or 'image_url'",
        ),
        (
            {"messages": [{"role": "user", "content": None}]},
            "messages.0.content",
            "is null, without tool calls beside it",
        ),
        (
            {"messages": [{"role": "system", "content": "a"}]},
            "messages",
            "there is nothing to answer beside the system prompt",
        ),
        ({"stream": None}, "stream", "None is not of type 'boolean'"),
        ({"temperature": "hot"}, "temperature", "'hot' is not of type 'number'"),
        ({"temperature": 2.1}, "temperature", "2.1 is greater than the maximum of 2"),
        ({"max_tokens": 0}, "max_tokens", "0 is less than the minimum of 1"),
        ({"n": 9}, "n", "9 is greater than 8"),
        ({"stop": 5}, "stop", "5 is not of type 'string' or 'array'"),
        ({"stop": ["a", 5]}, "stop.1", "5 is not of type 'string'"),
        (
            {"reasoning_effort": "vast"},
            "reasoning_effort",
            "'vast' is not one of ['minimal', 'low', 'medium', 'high']",
        ),
        (
            {"tool_choice": "x"},
            "tool_choice",
            "'x' is not one of ['none', 'auto', 'required']",
        ),
        ({"tool_choice": {"type": "x"}}, "tool_choice.type", "'x' is not 'function'"),
        ({"tool_choice": "required"}, "tool_choice", "'required' needs tools"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "b"}}, "tools": [tool("a")]},
            "tool_choice.function.name",
            "'b' is not a tool",
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
def test_a_field_at_fault_is_named(http, fields, param, problem):
    error = error_of(http.post(URL, json={"model": MODEL, "messages": [USER], **fields}))
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: {problem}")


def test_the_message_of_an_error_stays_short(post):
    error = error_of(post([{"role": "x" * 1000, "content": "a"}]))
    assert len(error["message"]) == 293
    assert error["message"].endswith("is not one of ['user', 'system', 'assistant', 'tool']")


def test_a_deeply_nested_schema_is_refused(http):
    schema = '{"not":' * 300 + "{}" + "}" * 300
    body = (
        '{"model":"gemini-3.5-flash","messages":[{"role":"user","content":"a"}],"tools":'
        '[{"type":"function","function":{"name":"a","parameters":' + schema + "}}]}"
    )
    error = error_of(http.post(URL, content=body, headers={"Content-Type": "application/json"}))
    assert error["message"] == "The request is nested too deeply"


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\3\0\0\0\2" + b"\0" * 54


def data_url(content: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("file:///etc/passwd", "not an http(s) address, nor data:<type>;base64,<image>"),
        ("data:image/png,abc", "not an http(s) address, nor data:<type>;base64,<image>"),
        ("data:image/png;base64", "not an http(s) address, nor data:<type>;base64,<image>"),
        (data_url(b"GIF89a", "image/gif"), "an image cannot be 'image/gif'; take jpeg, png or"),
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
def test_an_image_may_have_10_megabytes(post, size, status):
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


def call(call_id: str = "c1", **changes):
    signature = sign(call_id, "add", {"a": 1})
    whole = {
        "id": call_id,
        "type": "function",
        "function": {"name": "add", "arguments": '{"a": 1}'},
        "extra_content": {"google": {"thought_signature": signature}},
    }
    return whole | changes


def assistant(*calls, **fields):
    return {"role": "assistant", "content": None, "tool_calls": list(calls)} | fields


def result(call_id: str = "c1", **fields):
    return {"role": "tool", "tool_call_id": call_id, "content": "2"} | fields


WRONG_ANSWER = "a tool message answers a call of the assistant message before it, once"
CHANGED = "the thought_signature is not that of this call"


@pytest.mark.parametrize(
    ("messages", "param", "problem"),
    [
        ([result()], "messages.1.tool_call_id", WRONG_ANSWER),
        ([{"role": "tool", "content": "2"}], "messages.1.tool_call_id", WRONG_ANSWER),
        ([assistant(call()), result("c2")], "messages.2.tool_call_id", WRONG_ANSWER),
        ([assistant(call()), result(), result()], "messages.3.tool_call_id", WRONG_ANSWER),
        ([assistant(call())], "messages.1.tool_calls", "no tool message answers the call 'c1'"),
        (
            [assistant(call("c1"), call("c2")), result("c1"), USER],
            "messages.1.tool_calls",
            "no tool message answers the call 'c2'",
        ),
        (
            [assistant(call(), role="user")],
            "messages.1.tool_calls",
            "only an assistant message holds tool calls",
        ),
        (
            [assistant(call(function={"name": "add", "arguments": "{"})), result()],
            "messages.1.tool_calls.0.function.arguments",
            "not the text of a JSON object",
        ),
        (
            [assistant(call(function={"name": "add", "arguments": "[]"})), result()],
            "messages.1.tool_calls.0.function.arguments",
            "not the text of a JSON object",
        ),
        (
            [assistant(call(function={"name": "add", "arguments": '{"a": 2}'})), result()],
            "messages.1.tool_calls.0",
            CHANGED,
        ),
        (
            [assistant(call(), call(id="c2")), result(), result("c2")],
            "messages.1.tool_calls.1",
            CHANGED,
        ),
    ],
)
def test_calls_and_their_answers_belong_together(post, messages, param, problem):
    error = error_of(post([USER, *messages]))
    assert (error["code"], error["param"]) == (400, param)
    assert error["message"].startswith(f"{param}: {problem}")


@pytest.mark.parametrize("extra", [{}, None, {"google": {}}, {"google": "text"}])
def test_a_call_without_its_signature_is_refused_as_by_gemini(post, extra):
    error = error_of(post([USER, assistant(call(extra_content=extra)), result()]))
    assert error == {
        "code": 400,
        "message": UNSIGNED,
        "type": "invalid_request_error",
        "param": "messages.1.tool_calls.0",
    }


def test_a_call_that_comes_back_as_it_was_is_taken(post):
    arguments = {"name": "add", "arguments": '{"a":1}'}
    response = post([USER, assistant(call(function=arguments)), result()])
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("schema", "where", "problem"),
    [
        ({"type": "objekt"}, ".type", "'objekt' is not valid under any of the given schemas"),
        ({"properties": {"a": 3}}, ".properties.a", "3 is not of type 'object', 'boolean'"),
        ({"$ref": "https://example.com/a"}, "", "$ref 'https://example.com/a' is not within"),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}}, "", "$ref '#/$defs/a' leads nowhere"),
        ({"prefixItems": [{}], "items": {"$ref": "#/prefixItems/1"}}, "", "$ref '#/prefixItems/1'"),
        ({"$ref": "#"}, "", "$ref '#' needs itself without end"),
        ({"enum": []}, "", "an empty enum allows nothing"),
        ({"required": ["a"], "additionalProperties": False}, "", "nothing fits a schema that is"),
        ({"type": "integer", "minimum": 1, "maximum": 0}, "", "no number found for"),
        ({"minimum": 1e308, "multipleOf": 1e-308}, "", "a bound is too large a number"),
        ({"type": "array", "minItems": 1001}, "", "minItems is over 1000"),
        ({"type": "string", "minLength": 1e9}, "", "minLength is over 1000"),
    ],
)
def test_a_schema_that_nothing_fits_is_refused(post, schema, where, problem):
    for param, fields in {
        "tools.0.function.parameters": {"tools": [tool("add", **schema)]},
        "response_format.json_schema.schema": {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": schema},
            }
        },
    }.items():
        error = error_of(post(**fields))
        assert error["param"] == param + where
        assert error["message"].startswith(f"{param}{where}: {problem}")


def test_a_property_may_have_the_name_of_a_keyword(post):
    parameters = {"properties": {"$ref": {"type": "string"}}}
    assert post(tools=[tool("add", **parameters)]).status_code == 200


def test_the_server_keeps_what_it_received_but_not_the_key(server: Server, post):
    server.requests.clear()
    post("what was it?")
    (request,) = server.requests
    assert request.body == {
        "model": "gemini-3.5-flash",
        "messages": [{"role": "user", "content": "what was it?"}],
    }
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers


def test_the_server_keeps_a_request_it_could_not_read(server: Server, http):
    server.requests.clear()
    http.post(URL, content=b"no")
    assert [request.body for request in server.requests] == [None]
