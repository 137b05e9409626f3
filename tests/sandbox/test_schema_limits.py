"""JSON Schemas that the sandbox refuses, and the work that one may cause."""

import pytest

from llm_evolink.sandbox import patterns
from llm_evolink.sandbox.schema_validation import fits
from tests.four_ways import error_of, tool

URL = "/v1/chat/completions"


def test_a_deeply_nested_schema_is_refused(http):
    schema = '{"not":' * 300 + "{}" + "}" * 300
    body = (
        '{"model":"gemini-3.5-flash","messages":[{"role":"user","content":"a"}],"tools":'
        '[{"type":"function","function":{"name":"a","parameters":' + schema + "}}]}"
    )
    error = error_of(http.post(URL, content=body, headers={"Content-Type": "application/json"}))
    assert error["message"] == "The request is nested too deeply"


@pytest.mark.parametrize(
    ("schema", "where", "problem"),
    [
        ({"type": "objekt"}, ".type", '"objekt" is not one of "array", "boolean"'),
        ({"properties": {"a": 3}}, ".properties.a", "3 is not of type object or boolean"),
        ({"$ref": "https://example.com/a"}, "", "$ref 'https://example.com/a' is not within"),
        ({"properties": {"a": {"$ref": "#/$defs/a"}}}, "", "$ref '#/$defs/a' leads nowhere"),
        ({"prefixItems": [{}], "items": {"$ref": "#/prefixItems/1"}}, "", "$ref '#/prefixItems/1'"),
        ({"$ref": "#"}, "", "$ref '#' refers to itself without end"),
        ({"enum": []}, "", "an empty enum allows nothing"),
        ({"required": ["a"], "additionalProperties": False}, "", "nothing fits a schema that is"),
        ({"type": "integer", "minimum": 1, "maximum": 0}, "", "no number found for"),
        ({"minimum": 1e308, "multipleOf": 1e-308}, "", "a bound is too large a number"),
        ({"type": "array", "minItems": 1001}, "", "minItems is over 1000"),
        ({"type": "string", "minLength": 1e9}, "", "minLength is over 1000"),
    ],
)
def test_a_schema_that_no_value_satisfies_is_refused(post, schema, where, problem):
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


def test_a_property_can_have_the_name_of_a_keyword(post):
    parameters = {"properties": {"$ref": {"type": "string"}}}
    assert post(tools=[tool("add", **parameters)]).status_code == 200


def test_null_in_a_schema_is_a_value(post):
    response_format = {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": {"const": None}},
    }
    response = post(response_format=response_format)
    assert response.json()["choices"][0]["message"]["content"] == "null"


def nested(depth):
    """An array in an array, and so on, of 1000 items each."""
    schema = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "array", "minItems": 1000, "items": schema}
    return schema


def doubled(keyword="allOf"):
    """Definitions that each refer twice to the one before: 2**40 steps to the first."""
    definitions = {"a0": {"required": ["a"], "minProperties": 1}}
    for number in range(40):
        definitions[f"a{number + 1}"] = {keyword: [{"$ref": f"#/$defs/a{number}"}] * 2}
    return {"$defs": definitions}


@pytest.mark.parametrize(
    "schema",
    [
        nested(3),
        {**doubled(), "$ref": "#/$defs/a40"},
        {"required": ["x"], "properties": {"x": nested(4)}},
        {"properties": {f"p{number}": {"type": "string"} for number in range(30_000)}},
        {"allOf": [{}] * 9000},
    ],
)
def test_a_schema_that_takes_too_many_steps_is_refused(post, schema):
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    error = error_of(post(response_format=response_format))
    assert error["param"] == "response_format.json_schema.schema"
    assert error["message"].endswith("needs more than 50000 steps, the limit of the sandbox")


@pytest.mark.parametrize(
    ("schema", "prompt"),
    [
        ({"properties": {"a": {"pattern": "^(a|aa)+$"}}}, '{"a": "%s!"}' % ("a" * 60)),
        ({"patternProperties": {"^(a|aa)+$": {}}}, '{"%s!": 1}' % ("a" * 60)),
        (
            {"additionalProperties": {"const": 1}, "patternProperties": {"^(a|aa)+$": True}},
            '{"%s!": 1}' % ("a" * 60),
        ),
        ({**doubled(), "not": {"$ref": "#/$defs/a40"}}, '{"a": 1}'),
        ({**doubled("anyOf"), "not": {"not": {"$ref": "#/$defs/a40"}}}, '{"b": 1}'),
        ({"properties": {"a": {"uniqueItems": True}}}, '{"a": [%s{}]}' % ("{}," * 2000)),
        ({}, '{"a":' * 10_000),
    ],
)
def test_an_object_that_takes_too_long_to_validate_is_not_used(post, monkeypatch, schema, prompt):
    monkeypatch.setattr(patterns, "TIMEOUT", 0.01)
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    response = post(prompt, response_format=response_format)
    assert response.json()["choices"][0]["message"]["content"] == "{}"


@pytest.mark.parametrize(
    ("value", "schema", "fitting"),
    [
        ([1, 2], {"uniqueItems": True}, True),
        ("a", {"uniqueItems": True}, True),
        (1, {"patternProperties": {"a": False}, "additionalProperties": False}, True),
        ({"a": 1}, {"patternProperties": {"a": False}}, False),
        ({"b": 1}, {"patternProperties": {"a": {}}, "additionalProperties": False}, False),
    ],
)
def test_a_keyword_only_applies_to_its_type(value, schema, fitting):
    assert fits(value, schema) is fitting
