"""The sandbox against the document, with requests generated from the document's schemas."""

from functools import cache
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from llm_evolink.sandbox.document import Refusal, _error_fields, document, documented_errors
from llm_evolink.sandbox.request.normalization import normalize
from tests.four_ways import MODEL, check_documented, post_to

# All examples use one server, which keeps no state.
EXAMPLES = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HELLO = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
SCHEMA = {"$ref": "#/components/schemas/ChatCompletionQuickRequest"}

names = st.sampled_from(["name", "add", "type", "$ref", "content", "ä", ""])
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Generate values that fit a schema of the document."""
    if "$ref" in schema:
        return referred(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "oneOf" in schema:
        return st.one_of(*map(values, schema["oneOf"]))
    if schema["type"] == "object":
        return objects(schema)
    least, most = schema.get("minimum"), schema.get("maximum")
    return {
        "array": lambda: st.lists(
            values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3
        ),
        "boolean": st.booleans,
        "integer": lambda: st.integers(least, most),
        "null": st.none,
        "number": lambda: st.floats(least, most) | st.integers(least, most),
        "string": lambda: st.text(min_size=schema.get("minLength", 0), max_size=9),
    }[schema["type"]]()


def objects(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Generate objects with the required properties and some others; with any, if none is named."""
    fields = {name: values(field) for name, field in schema.get("properties", {}).items()}
    required = set(schema.get("required", ()))
    free = st.dictionaries(names, anything, max_size=2) if not fields else st.just({})
    return st.builds(
        lambda known, unknown: unknown | known,
        st.fixed_dictionaries(
            {name: fields[name] for name in required},
            optional={name: fields[name] for name in fields.keys() - required},
        ),
        free,
    )


@cache
def referred(name: str) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: values(document()["components"]["schemas"][name]))


def is_valid(body: Any) -> bool:
    return Draft202012Validator({**SCHEMA, "components": document()["components"]}).is_valid(body)


def send(http: httpx.Client, body: Any) -> httpx.Response:
    """Post the body. post_to checks that the response fits its schema."""
    response = post_to(http, **body)
    assert response.status_code == 200 or response.status_code in documented_errors()
    return response


@EXAMPLES
@given(body=values(SCHEMA))
def test_a_valid_request_has_a_documented_response(http, body):
    assert is_valid(body)
    response = send(http, body)
    if response.status_code != 200:
        # A rule that no schema expresses, about a field of the request.
        assert response.json()["error"]["param"].split(".")[0] in body


fields = values(SCHEMA).map(lambda body: {**body, "messages": HELLO["messages"]})


@EXAMPLES
@given(body=fields)
def test_a_prompt_is_answered_with_any_valid_fields(http, body):
    response = send(http, body)
    if response.status_code != 200:
        assert response.json()["error"]["param"].split(".")[0] in (
            "n",
            "tools",
            "tool_choice",
            "response_format",
        )


paths = st.lists(st.integers(0, 9), max_size=6)


def replaced(body: Any, path: list[int], value: Any) -> Any:
    """Return the body with the value at the place that the path leads to."""
    if not path or not body or not isinstance(body, dict | list):
        return value
    if isinstance(body, list):
        at = path[0] % len(body)
        return [*body[:at], replaced(body[at], path[1:], value), *body[at + 1 :]]
    name = sorted(body)[path[0] % len(body)]
    return {**body, name: replaced(body[name], path[1:], value)}


@EXAMPLES
@given(body=fields, path=paths, value=anything)
def test_an_invalid_request_is_refused(http, body, path, value):
    body = replaced(body, path, value)
    assume(not is_valid(normalize(body) if isinstance(body, dict) else body))
    response = http.post("/v1/chat/completions", json=body)
    assert response.status_code in (400, 404)
    error = response.json()["error"]
    assert (error["code"], type(error["message"])) == (response.status_code, str)
    check_documented("ErrorResponse", response.json())


ERROR = {"message": "Overloaded"}
DEFAULT = {"code": 529, "message": "Too busy", "type": "error"}


@pytest.mark.parametrize(
    ("content", "fields"),
    [
        ({"application/json": {"example": {"error": ERROR}}}, ERROR),
        ({"application/json": {"example": ERROR}}, ERROR),
        ({"application/json": {"examples": {"a": {"value": {"error": ERROR}}}}}, ERROR),
        ({"application/json": {"example": "text"}}, DEFAULT),
        ({"application/json": {"example": {"error": "text"}}}, DEFAULT),
        ({"application/json": {}}, DEFAULT),
        ({"text/html": {}}, DEFAULT),
        ({}, DEFAULT),
    ],
)
def test_the_fields_of_a_documented_error(content, fields):
    assert _error_fields(529, {"description": "Too busy", "content": content}) == fields


def test_an_error_that_is_not_documented():
    assert Refusal(418, message="No").body == {
        "error": {"code": 418, "message": "No", "type": "error"}
    }
