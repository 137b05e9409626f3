"""The effective document, and reading and validating a document."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from regeneration import validation
from regeneration.errors import RegenerationError
from regeneration.validation import load_yaml, validate
from regeneration.vendored import Effective, vendored_document, with_overlays

import generated_client
from generated_client import models

ROOT = Path(__file__).parents[2]
# The page as it was when the tests were written.
OPENAPI = Path(__file__).parent / "frozen"
CLIENT = ROOT / "generated_client"
CONTENT_TYPES = {"application/json", "text/event-stream"}
# Python 3.12 added the value to this message.
with pytest.raises(ValueError, match="Out of range float values") as not_finite:
    json.dumps(math.nan, allow_nan=False)


@pytest.fixture(scope="module")
def effective() -> Effective:
    return with_overlays(vendored_document(OPENAPI), OPENAPI)


@pytest.fixture(scope="module")
def document(effective: Effective) -> dict[str, Any]:
    return effective.document


@pytest.fixture(scope="module")
def schemas(document: dict[str, Any]) -> dict[str, Any]:
    return document["components"]["schemas"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return load_yaml((OPENAPI / "gemini-3.5-flash.yaml").read_bytes(), "published")


def test_the_committed_client_holds_the_effective_document() -> None:
    openapi = ROOT / "openapi"
    effective = with_overlays(vendored_document(openapi), openapi)
    assert effective.with_status("misfit") == []
    assert json.loads((CLIENT / "openapi.json").read_text(encoding="utf-8")) == effective.document
    assert set(effective.models) == set(generated_client.MODELS)


def test_every_action_applies(effective: Effective) -> None:
    assert effective.outcomes == []


@pytest.mark.parametrize("name", ["2-corrections.yaml", "3-extensions.yaml", "4-pins.yaml"])
def test_every_correction_and_extension_says_why(name: str) -> None:
    overlay = load_yaml((OPENAPI / "overlays" / name).read_bytes(), name)
    assert [action for action in overlay["actions"] if not action.get("description")] == []


@pytest.mark.parametrize("openapi", [OPENAPI, ROOT / "openapi"], ids=["frozen", "current"])
def test_no_text_of_an_overlay_is_cut_at_a_comma(openapi: Path) -> None:
    """In braces, what follows a comma of a text without quotation marks is a key with null."""
    overlays = [load_yaml(path.read_bytes(), path.name) for path in openapi.glob("overlays/*")]
    nodes: list[Any] = [action.get("update") for each in overlays for action in each["actions"]]
    nulls = []
    for node in nodes:  # The list grows in the loop.
        if isinstance(node, dict):
            nulls += [key for key, value in node.items() if value is None]
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
    assert nulls == []


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_no_hangul_is_left(frozen_client: Path) -> None:
    hangul = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]")
    texts = {
        path.relative_to(frozen_client): f"{path.name}\n{path.read_text(encoding='utf-8')}"
        for path in frozen_client.rglob("*")
        if path.is_file()
    }
    assert len(texts) > 40
    assert [path for path, text in texts.items() if hangul.search(text)] == []


def test_the_published_names_stay(document: dict[str, Any], published: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/chat/completions"]["post"]
    assert operation["operationId"] == "createChatCompletionQuick"
    assert operation["tags"] == ["Chat Completion"]
    names = set(published["components"]["schemas"])
    assert names == {
        "AssistantMessage",
        "ChatCompletionQuickRequest",
        "ChatCompletionResponse",
        "Choice",
        "ErrorResponse",
        "MessageSimple",
        "Usage",
    }
    assert names - set(document["components"]["schemas"]) == set()


def test_every_published_property_stays(schemas: dict[str, Any], published: dict[str, Any]) -> None:
    lost = [
        f"{name}.{key}"
        for name, schema in published["components"]["schemas"].items()
        for key in schema["properties"]
        if key not in schemas[name]["properties"]
    ]
    assert lost == []


def test_the_published_servers_stay_in_order(document: dict[str, Any]) -> None:
    urls = [server["url"] for server in document["servers"]]
    assert urls == ["https://direct.evolink.ai", "https://api.evolink.ai"]


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("model", {"type": "string", "enum": ["gemini-3.5-flash"], "default": "gemini-3.5-flash"}),
        ("messages", {"type": "array", "minItems": 1}),
        ("stream", {"type": "boolean"}),
        ("stream_options", {"$ref": "#/components/schemas/StreamOptions"}),
        ("max_tokens", {"type": "integer", "minimum": 1, "maximum": 65536}),
        ("max_completion_tokens", {"type": "integer", "minimum": 1, "maximum": 65536}),
        ("temperature", {"type": "number", "minimum": 0, "maximum": 2}),
        ("top_p", {"type": "number", "minimum": 0, "maximum": 1}),
        ("frequency_penalty", {"type": "number", "minimum": -2, "maximum": 2}),
        ("presence_penalty", {"type": "number", "minimum": -2, "maximum": 2}),
        (
            "stop",
            {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        ),
        ("n", {"type": "integer", "minimum": 1}),
        (
            "reasoning_effort",
            {"type": "string", "enum": ["minimal", "low", "medium", "high"]},
        ),
        ("seed", {"type": "integer", "minimum": 0, "maximum": 2147483647}),
        ("logprobs", {"type": "boolean"}),
        ("top_logprobs", {"type": "integer", "minimum": 0, "maximum": 20}),
        ("tools", {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Tool"}}),
        (
            "tool_choice",
            {
                "oneOf": [
                    {"type": "string", "enum": ["none", "auto", "required"]},
                    {"$ref": "#/components/schemas/NamedToolChoice"},
                ]
            },
        ),
        (
            "response_format",
            {
                "oneOf": [
                    {"$ref": "#/components/schemas/TextFormat"},
                    {"$ref": "#/components/schemas/JsonObjectFormat"},
                    {"$ref": "#/components/schemas/JsonSchemaFormat"},
                ]
            },
        ),
    ],
)
def test_a_parameter(schemas: dict[str, Any], parameter: str, expected: dict[str, Any]) -> None:
    schema = dict(schemas["ChatCompletionQuickRequest"]["properties"][parameter])
    if parameter == "messages":
        assert schema.pop("items") == {"$ref": "#/components/schemas/MessageSimple"}
    schema.pop("example", None)
    assert "$ref" in schema or schema.pop("description")
    assert schema == expected


def test_there_are_no_other_parameters(schemas: dict[str, Any]) -> None:
    assert len(schemas["ChatCompletionQuickRequest"]["properties"]) == 19


def test_a_message(schemas: dict[str, Any]) -> None:
    message = schemas["MessageSimple"]
    assert message["required"] == ["role", "content"]
    assert message["properties"]["role"]["enum"] == ["user", "system", "assistant", "tool"]
    text, parts, nothing = message["properties"]["content"]["oneOf"]
    assert (text, nothing) == ({"type": "string"}, {"type": "null"})
    assert parts["items"]["oneOf"] == [
        {"$ref": "#/components/schemas/TextPart"},
        {"$ref": "#/components/schemas/ImagePart"},
    ]


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ("AssistantMessage", "role"),
        ("ChatCompletionChunk", "object"),
        ("ChatCompletionResponse", "object"),
        ("Choice", "finish_reason"),
        ("ChunkChoice", "finish_reason"),
    ],
)
def test_a_value_in_a_response_is_an_open_string(
    schemas: dict[str, Any], schema: str, field: str
) -> None:
    assert schemas[schema]["properties"][field].keys().isdisjoint(("enum", "const"))


def test_an_error_code_can_be_a_string(schemas: dict[str, Any]) -> None:
    code = schemas["ErrorResponse"]["properties"]["error"]["properties"]["code"]
    assert code["type"] == ["integer", "string", "null"]


def test_the_responses(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    errors = ["400", "401", "402", "403", "404", "429", "500", "502", "503", "413"]
    assert list(responses) == ["200", *errors]
    assert {status: set(responses[status]["content"]) for status in errors} == {
        status: {"application/json"} for status in errors
    }
    assert set(responses["200"]["content"]) == CONTENT_TYPES
    assert responses["413"]["content"]["application/json"]["example"]["error"] == {
        "code": 413,
        "message": "Image exceeds the size limit",
        "type": "request_too_large_error",
        "param": "content",
        "fallback_suggestion": "compress image to under 10MB",
    }
    assert responses["429"]["description"] == "Too many requests; wait, then try again"
    assert responses["429"]["content"]["application/json"]["example"]["error"] == {
        "code": 429,
        "message": "Rate limit exceeded",
        "type": "rate_limit_error",
        "fallback_suggestion": "retry after 60 seconds",
    }


def test_every_response_has_an_example(document: dict[str, Any]) -> None:
    responses = document["paths"]["/v1/chat/completions"]["post"]["responses"]
    content = [each for response in responses.values() for each in response["content"].values()]
    assert len(content) == 12
    assert [each for each in content if "example" not in each] == []


def test_the_examples_of_a_reply_are_read_by_the_client(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]
    reply = models.ChatCompletionResponse.from_dict(content["application/json"]["example"])
    *events, end = content["text/event-stream"]["example"].split("\n\n")[:-1]
    assert end == "data: [DONE]"
    chunks = [
        models.ChatCompletionChunk.from_dict(json.loads(event.removeprefix("data: ")))
        for event in events
    ]
    assert reply.usage == chunks[-1].usage
    assert chunks[1].to_dict()["choices"][0]["finish_reason"] == "stop"


def test_nothing_of_openapi_3_0_is_left(document: dict[str, Any]) -> None:
    def keys(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from node
            node = list(node.values())
        if isinstance(node, list):
            for value in node:
                yield from keys(value)

    assert "nullable" not in set(keys(document))


def bomb(group: str) -> bytes:
    """Return ten lines of YAML that expand to 9^10 values."""
    lines = ["a0: &a0 {x: 1}"]
    for number in range(1, 11):
        inner = group.format(",".join([f"*a{number - 1}"] * 9))
        lines.append(f"a{number}: &a{number} {inner}")
    return "\n".join(lines).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "X is not YAML: expected the node content, but found '<stream end>' (line 1)"),
        (b"a: 1\na: 2", 'X is not YAML: found duplicate key "a" with value "2" '
                        '(original value: "1") (line 2)'),
        (b"a: 1\n---\nb: 1", "X is not YAML: but found another document (line 2)"),
        (b"a: !!python/name:os.system x", "X is not YAML: could not determine a constructor for "
                                          "the tag 'tag:yaml.org,2002:python/name:os.system' "
                                          "(line 1)"),
        (b"\xff\xfe\x00", "X is not YAML of JSON values: unacceptable character #x0000: "
                          'truncated data in "<byte string>", position 2'),
        (b"a: .nan", f"X is not YAML of JSON values: {not_finite.value}"),
        (b"a: \"\\ud800\"", "X is not YAML of JSON values: 'utf-8' codec can't encode character "
                           "'\\ud800' in position 7: surrogates not allowed"),
        (b"&a {b: *a}", "X nests deeper than 50 levels"),
        (b"a: " + b"[" * 50 + b"]" * 50, "X nests deeper than 50 levels"),
        (b"a: " + b"x" * 2**20, "X is larger than 1 MB"),
        (bomb("[{}]"), "X is too large when its aliases are expanded"),
        (bomb("{{<<: [{}]}}"), "X is too large when its aliases are expanded"),
        (b"[" * 1000, "X is not YAML of JSON values: maximum recursion depth exceeded"),
        (b"", "X is not a YAML mapping"),
    ],
)  # fmt: skip
def test_invalid_yaml_is_refused(
    monkeypatch: pytest.MonkeyPatch, content: bytes, message: str
) -> None:
    monkeypatch.setattr(validation, "MOST_EXPANDED", 2**14)
    with pytest.raises(RegenerationError) as raised:
        load_yaml(content, "X")
    assert str(raised.value) == message


def test_an_error_names_the_line_of_the_page() -> None:
    with pytest.raises(RegenerationError) as raised:
        load_yaml(b"a: 1\nb: [", "X", first_line=20)
    assert str(raised.value).endswith("(line 21)")


def test_yaml_is_read_as_json() -> None:
    data = load_yaml(b"{200: &a [yes, 2026-01-01], b: *a, c: 2026-01-01T10:00:00Z}", "X")
    values = ["yes", "2026-01-01"]
    assert data == {"200": values, "b": values, "c": "2026-01-01T10:00:00Z"}
    assert data["200"] is not data["b"]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "other.yaml"}, "X: $ref other.yaml is refused: it leads out of the document"),
        (
            {"$ref": "http://127.0.0.1/other"},
            "X: $ref http://127.0.0.1/other is refused: it leads out of the document",
        ),
        (
            {"$ref": "file:///etc/passwd#/a"},
            "X: $ref file:///etc/passwd#/a is refused: it leads out of the document",
        ),
        ({"$ref": "#"}, "X: $ref # is refused: it leads out of the document"),
        ({"$ref": 7}, "X: $ref 7 is refused: it leads out of the document"),
        ({"$ref": "#/nowhere"}, "X: $ref #/nowhere leads nowhere"),
        ({"$ref": "#/components/schemas/Loop"}, "X: $ref #/components/schemas/Loop loops"),
        (
            {"allOf": [{"$ref": "#/components/schemas/Loop"}]},
            "X is invalid: it nests too deep, or a $ref loops",
        ),
        ({"type": 7}, "X is invalid at type: 7 is not valid under any of "
                      "the given schemas"),
        ({"$schema": "http://127.0.0.1/"}, "X is invalid at the top level: Unknown JSON Schema "
                                           "dialect: 'http://127.0.0.1/'"),
    ],
)  # fmt: skip
def test_an_invalid_schema_is_refused(schema: dict[str, Any], message: str) -> None:
    document = {
        "openapi": "3.1.0",
        "info": {"title": "T", "version": "1"},
        "paths": {},
        "components": {"schemas": {"Loop": schema}},
    }
    with pytest.raises(RegenerationError) as raised:
        validate(document, "X")
    assert str(raised.value) == message


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"child": {"$ref": "#/components/schemas/Fine"}}},
        {"properties": {"$ref": {"type": "string"}}},
        {"items": {"$ref": "#/components/schemas/%46in%65"}},
        {"$defs": {"사용량": {}}, "items": {"$ref": "#/components/schemas/Fine/$defs/사용량"}},
    ],
)
def test_a_valid_schema(schema: dict[str, Any]) -> None:
    validate(
        {
            "openapi": "3.1.0",
            "info": {"title": "T", "version": "1"},
            "paths": {},
            "components": {"schemas": {"Fine": schema}},
        },
        "X",
    )
