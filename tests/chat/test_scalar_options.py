"""Options that are made from the scalar fields of a document."""

import contextlib
from typing import Annotated

import pytest
from click.testing import CliRunner
from llm.cli import cli
from pydantic import TypeAdapter, ValidationError

from llm_evolink.chat import options
from llm_evolink.chat.options import _field, options_class, scalar_fields


def adapter(schema):
    annotation, field = _field(schema)
    return TypeAdapter(Annotated[annotation, field]), field.description


def test_a_pattern_is_enforced():
    option, description = adapter({"type": "string", "pattern": "^[a-z]+$", "description": "A."})
    assert (option.validate_python("abc"), description) == ("abc", "A")
    with pytest.raises(ValidationError):
        option.validate_python("ABC")


def test_a_pattern_that_pydantic_does_not_support_is_left_out():
    option, _ = adapter({"type": "string", "pattern": "^(?=a)", "maxLength": 2})
    assert option.validate_python("bc") == "bc"
    with pytest.raises(ValidationError):
        option.validate_python("bcd")


@pytest.mark.parametrize(
    ("bounds", "fitting"),
    [
        ({"minimum": 0.5, "maximum": 2.5}, [1, 2]),
        ({"exclusiveMinimum": 0.5, "exclusiveMaximum": 2.5}, [1, 2]),
        ({"minimum": 1.0, "exclusiveMaximum": 3.0}, [1, 2]),
        ({"minimum": 1, "multipleOf": 2.0}, [2, 4]),
        ({"minimum": 3, "multipleOf": 0.5, "minLength": 1}, [3, 4]),
    ],
    ids=str,
)
def test_an_integer_can_have_bounds_that_are_not_integers(bounds, fitting):
    option, _ = adapter({"type": "integer", **bounds})
    values = []
    for value in range(5):
        with contextlib.suppress(ValidationError):
            values.append(option.validate_python(value))
    assert values == fitting


def test_a_description_is_printed_without_control_characters():
    _, description = adapter({"type": "string", "description": "a\x1b[31m\nb\u202e."})
    assert description == "a [31m b"


def test_fields_that_are_not_scalar_are_not_options():
    fields = {
        "seed": {"type": "integer"},
        "stop": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "metadata": {"type": "object"},
        "since": {"type": "string", "format": "date"},
        "until": {"type": ["string", "null"], "format": "date-time"},
        "trace": {"type": "string", "format": "uuid"},
        "file": {"type": "string", "format": "binary"},
        "mail": {"type": "string", "format": "email"},
    }
    assert list(scalar_fields(fields)) == ["seed", "mail"]


@pytest.mark.parametrize(
    "name",
    [
        "self",
        "prompt",
        "fragments",
        "attachments",
        "system",
        "system_fragments",
        "schema",
        "tool_results",
        "options",
        "key",
        "hide_reasoning",
    ],
)
def test_an_argument_of_prompt_is_not_an_option(name):
    schema = {"type": "string"}
    assert list(scalar_fields({name: schema, "other": schema})) == ["other"]


def test_the_list_of_options(environment, monkeypatch):
    fields = {
        "model": {"type": "string"},
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "description": "Tokens to draw from.",
        },
        "temperature": {"type": "number", "maximum": 2, "default": 1, "description": "Randomness"},
        "stop": {"type": "string"},
        "logprobs": {"type": ["boolean", "null"]},
        "metadata": {"type": "object"},
        "effort": {"type": "string", "enum": ["low", "high"], "description": "low or high."},
    }
    monkeypatch.setattr(options, "Options", options_class(fields))

    listed = (
        CliRunner().invoke(cli, ["models", "-m", "evolink/gemini-3.5-flash", "--options"]).stdout
    )
    assert (
        listed
        == """\
EvoLink: gemini-3.5-flash (aliases: evolink/gemini-3.5-flash)
  Options:
    top_k: int
      Tokens to draw from
    temperature: float
      Randomness
    stop: str
    logprobs: boolean
    effort: str
      low or high
    json_object: boolean
      Answer with a JSON object
    include_thoughts: boolean
      Ask for a summary of the model's reasoning, in Google's form; whether
      EvoLink passes that on is not documented
    timeout: float
      Seconds without progress after which the prompt fails, 0.001 to 86400;
      600 by default, or EVOLINK_TIMEOUT
    extra_body: dict
      Further fields of the request, a JSON object such as {"top_k": 40}
  Attachment types:
    image/jpeg, image/png, image/webp
  Features:
  - streaming
  - schemas
  - tools
  - async
  Keys:
    key: evolink
    env_var: EVOLINK_API_KEY
"""
    )
