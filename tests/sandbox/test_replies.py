"""The sandbox's generated replies: their fields, text and token counts."""

import base64
import json
import struct

import pytest

from tests.four_ways import error_of, message_of, text_of

INTRODUCTION = "This is the EvoLink sandbox, not gemini-3.5-flash."


def test_a_reply_has_exactly_the_published_fields(post):
    body = post("hello").json()
    assert body.pop("id").startswith("chatcmpl-")
    assert abs(body.pop("created") - 1.5e9) < 1e9
    assert body == {
        "model": "gemini-3.5-flash",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": f'{INTRODUCTION} You said: "hello"'},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 2,
            "completion_tokens": 17,
            "total_tokens": 19,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "text_tokens": 2,
                "audio_tokens": 0,
                "image_tokens": 0,
            },
            "completion_tokens_details": {
                "text_tokens": 17,
                "audio_tokens": 0,
                "reasoning_tokens": 0,
            },
            "input_tokens": 0,
            "output_tokens": 0,
            "input_tokens_details": None,
        },
    }


def test_a_reply_lists_what_was_received(post):
    response = post(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "안녕"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": [{"type": "text", "text": t} for t in ("one", "two")]},
        ],
        tools=[{"type": "function", "function": {"name": name}} for name in ("add", "sub")],
    )
    assert text_of(response) == (
        f'{INTRODUCTION} You said: "one\ntwo"\n'
        'System prompt: "Be brief."\n'
        "Messages: system, user, assistant, user.\n"
        "Tools: add, sub."
    )
    # 9 bytes, 6, 5, 3 and 3, each rounded up to tokens of 4.
    assert response.json()["usage"]["prompt_tokens"] == 3 + 2 + 2 + 1 + 1


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "assistant", "content": "Hi"}],
        [{"role": "assistant", "content": ""}],
    ],
)
def test_without_a_user_message_the_echo_is_empty(post, messages):
    assert text_of(post(messages)) == f'{INTRODUCTION} You said: ""'


def test_an_unpaired_surrogate_is_answered(http):
    body = (
        rb'{"model": "gemini-3.5-flash",'
        rb' "messages": [{"role": "user", "content": "a\ud800b"}]}'
    )
    headers = {"Content-Type": "application/json"}
    response = http.post("/v1/chat/completions", content=body, headers=headers)
    assert text_of(response) == f'{INTRODUCTION} You said: "a?b"'


PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 3, 2) + b"\0" * 54
# A comment, a table, then the frame.
JPEG = (
    b"\xff\xd8\xff\xfe\0\4ab\xff\xc4\0\3x"
    + b"\xff\xc2\0\x0b\x08"
    + struct.pack(">HH", 20, 30)
    + b"\0" * 10
)
WEBP = b"RIFF\0\0\0\0WEBP"
LOSSY = WEBP + b"VP8 " + b"\0" * 10 + struct.pack("<HH", 40, 50)
LOSSLESS = WEBP + b"VP8L" + b"\0" * 5 + struct.pack("<I", 59 | 69 << 14)
EXTENDED = WEBP + b"VP8X" + b"\0" * 8 + (79).to_bytes(3, "little") + (70_000).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("content", "media_type", "described"),
    [
        (PNG, "image/png", "image/png, 3x2 pixels, 78 bytes"),
        (PNG, "image/jpeg", "image/png, 3x2 pixels, 78 bytes"),
        (JPEG, "image/jpeg", "image/jpeg, 30x20 pixels, 32 bytes"),
        (JPEG, "image/jpg", "image/jpeg, 30x20 pixels, 32 bytes"),
        (LOSSY, "image/webp", "image/webp, 40x50 pixels, 30 bytes"),
        (LOSSLESS, "image/webp", "image/webp, 60x70 pixels, 25 bytes"),
        (EXTENDED, "image/webp", "image/webp, 80x70001 pixels, 30 bytes"),
    ],
)
def test_a_reply_describes_an_image(post, content, media_type, described):
    url = f"data:{media_type};base64,{base64.b64encode(content).decode()}"
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image_url", "image_url": {"url": url}},
    ]
    response = post([{"role": "user", "content": parts}])
    assert text_of(response) == (
        f'{INTRODUCTION} You said: "look"\nImage 1: https://example.com/a.png\nImage 2: {described}'
    )
    usage = response.json()["usage"]
    assert usage["prompt_tokens"] == 1 + 2 * 1120
    assert usage["prompt_tokens_details"]["image_tokens"] == 2 * 1120


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_reasoning_is_returned_and_counted(post, effort):
    response = post(reasoning_effort=effort)
    thought = f"The sandbox pretends to think; reasoning_effort is {effort}."
    assert message_of(response)["reasoning_content"] == thought
    tokens = -(-len(thought) // 4)
    usage = response.json()["usage"]
    assert usage["completion_tokens_details"]["reasoning_tokens"] == tokens
    assert usage["completion_tokens"] == 17 + tokens


def test_minimal_effort_returns_no_reasoning(post):
    assert "reasoning_content" not in message_of(post(reasoning_effort="minimal"))


@pytest.mark.parametrize(
    ("extra_body", "thought"),
    [
        (
            {"google": {"thinking_config": {"include_thoughts": True}}},
            "The sandbox pretends to think.",
        ),
        ({"google": {"thinking_config": {"include_thoughts": False}}}, None),
        ({"google": {"thinking_config": None}}, None),
        ({"google": "text"}, None),
        (None, None),
    ],
)
def test_include_thoughts_returns_reasoning(post, extra_body, thought):
    assert message_of(post(extra_body=extra_body)).get("reasoning_content") == thought


@pytest.mark.parametrize(
    ("fields", "text", "finish_reason"),
    [
        ({"max_tokens": 3}, "This is the ", "length"),
        ({"max_tokens": 3.0}, "This is the ", "length"),
        ({"max_completion_tokens": 2}, "This is ", "length"),
        ({"max_tokens": 2, "max_completion_tokens": 3}, "This is ", "length"),
        ({"max_tokens": 17}, f'{INTRODUCTION} You said: "hello"', "stop"),
        ({"stop": " sandbox"}, "This is the EvoLink", "stop"),
        ({"stop": ["sandbox", " is", "nowhere"]}, "This", "stop"),
        ({"stop": ["is is", "This"]}, "", "stop"),
        ({"stop": ["", "nowhere"]}, f'{INTRODUCTION} You said: "hello"', "stop"),
        ({"stop": []}, f'{INTRODUCTION} You said: "hello"', "stop"),
        ({"stop": " sandbox", "max_tokens": 1}, "This", "length"),
        ({"reasoning_effort": "low", "max_tokens": 5}, "", "length"),
        ({"reasoning_effort": "low", "max_tokens": 15}, "This", "length"),
    ],
)
def test_token_limit_and_stop_end_the_text(post, fields, text, finish_reason):
    response = post(**fields)
    assert text_of(response) == text
    assert response.json()["choices"][0]["finish_reason"] == finish_reason
    limit = min(fields.get("max_tokens", 99), fields.get("max_completion_tokens", 99))
    assert response.json()["usage"]["completion_tokens"] <= limit


def test_a_text_is_cut_between_characters(post):
    prompt = "가나다라"  # 3 bytes each
    complete = f'{INTRODUCTION} You said: "{prompt}"'
    texts = [text_of(post(prompt, max_tokens=limit)) for limit in range(1, 20)]
    assert texts[-1] == complete
    assert all(complete.startswith(text) and text for text in texts)
    assert [-(-len(text.encode()) // 4) for text in texts] == list(range(1, 20))


def test_n_choices_are_returned(post):
    response = post(n=2, seed=1, temperature=0, top_p=1, presence_penalty=0, frequency_penalty=0)
    choices = response.json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]
    assert choices[0]["message"] == choices[1]["message"]
    assert response.json()["usage"]["completion_tokens"] == 34


def test_the_first_tokens_have_logprobs(post):
    (choice,) = post(logprobs=True).json()["choices"]
    assert choice["logprobs"]["content"][0] == {
        "token": "This",
        "logprob": -0.125,
        "bytes": [84, 104, 105, 115],
        "top_logprobs": [],
    }
    assert [each["token"] for each in choice["logprobs"]["content"]] == [
        *("This", " is ", "the ", "EvoL", "ink "),
    ]


@pytest.mark.parametrize(
    ("prompt", "value"),
    [
        ("hello", {"sandbox": INTRODUCTION, "you_said": "hello"}),
        ('take {"a": 1}', {"a": 1}),
        ("take {} ", {}),
        ('{no {"a": NaN} but {"b": {"c": 2}} {"d": 3}', {"b": {"c": 2}}),
        ("{" * 3, {"sandbox": INTRODUCTION, "you_said": "{{{"}),
    ],
)
def test_a_json_object_is_returned_on_request(post, prompt, value):
    assert json.loads(text_of(post(prompt, response_format={"type": "json_object"}))) == value


def test_response_format_text_returns_text(post):
    response_format = {"type": "text", "json_schema": "not looked at"}
    assert text_of(post(response_format=response_format)) == f'{INTRODUCTION} You said: "hello"'


def test_a_deeply_nested_object_in_the_prompt_is_ignored(post):
    prompt = '{"a":' * 5000
    given = json.loads(text_of(post(prompt, response_format={"type": "json_object"})))
    assert given["you_said"] == prompt


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "required": ["name", "next", "children"],
            "properties": {
                "name": {"type": "string"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
    "$ref": "#/$defs/node",
}
INHERITANCE = {
    "definitions": {
        "a/b": {"properties": {"id": {"type": "integer"}}, "required": ["id"]},
        "b": {"allOf": [{"$ref": "#/definitions/a~1b"}]},
        "c": {"$ref": "#/definitions/a~1b", "properties": {"c": True}, "required": ["c"]},
    },
    "allOf": [{"$ref": "#/definitions/b"}, {"$ref": "#/definitions/c"}],
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {}),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"type": "string"}}}, {}),
        ({"properties": {"a": {"type": "string"}}, "required": ["a"]}, {"a": "sandbox"}),
        ({"required": ["a"]}, {"a": {}}),
        ({"required": ["a"], "additionalProperties": {"type": "null"}}, {"a": None}),
        ({"const": [1]}, [1]),
        ({"type": "string", "enum": ["x", "y"]}, "x"),
        ({"type": ["null", "boolean"]}, False),
        ({"type": ["null"]}, None),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"prefixItems": [{"const": 1}], "minItems": 2}, [1, {}]),
        ({"minLength": 9}, "sandboxsa"),
        ({"maxLength": 4}, "sand"),
        ({"format": "date"}, "2026-01-01"),
        ({"type": "string", "format": "color"}, "sandbox"),
        ({"type": "number"}, 0),
        ({"minimum": 2.5}, 3),
        ({"maximum": -2.5}, -3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "exclusiveMaximum": -3}, -4),
        ({"type": "integer", "minimum": 10, "multipleOf": 7}, 14),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "minimum": 0.25, "maximum": 0.25}, 0.25),
        ({"oneOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        ({"anyOf": [False, {"const": 2}]}, 2),
        ({"properties": {"a": {"const": 1}}, "anyOf": [{"required": ["a"]}, {}]}, {"a": 1}),
        (TREE, {"name": "sandbox", "next": None, "children": []}),
        (INHERITANCE, {"id": 0, "c": {}}),
    ],
)
def test_the_generated_json_fits_the_schema(post, schema, value):
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    assert json.loads(text_of(post(response_format=response_format))) == value


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"required": ["b"]}, {"b": "x"}),
        ({"properties": {"b": {"pattern": "^x"}}, "required": ["b"]}, {"b": "x"}),
        ({"properties": {"b": {"pattern": "^y"}}, "required": ["b"]}, {"b": "sandbox"}),
        ({"properties": {"b": {"pattern": r"\p{L}"}}, "required": ["b"]}, {"b": "x"}),
        ({"patternProperties": {"^b": {"const": "x"}}, "additionalProperties": False}, {"b": "x"}),
        ({"patternProperties": {"^b": {"const": "y"}}, "required": []}, {"a": 1}),
        ({"patternProperties": {"^b": {}, "^[a-z]$": {"type": "string"}}}, {"b": "x"}),
        # An object of which it cannot be decided whether it fits is not taken.
        ({"properties": {"b": {"pattern": "("}}, "required": ["b"]}, {"b": "sandbox"}),
        ({"properties": {"b": {"pattern": "x" * 1001}}, "required": ["b"]}, {"b": "sandbox"}),
        ({"unevaluatedProperties": False}, {}),
        ({"not": {"$ref": "#/not"}, "const": 1}, 1),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, {"b": "x"}),
        ({"required": ["c"]}, {"c": {}}),
    ],
)
def test_an_object_in_the_prompt_that_fits_is_returned(post, schema, value):
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    response = post('Choose {"a": 1} or {"b": "x"}!', response_format=response_format)
    assert json.loads(text_of(response)) == value


def test_a_refusal_adds_no_suggestion(post):
    assert "fallback_suggestion" not in error_of(post(n=0))
