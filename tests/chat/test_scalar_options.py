"""Options that are made from the document's scalar fields."""

import pytest
from pydantic import TypeAdapter, ValidationError

from llm_evolink.chat.options import _field, scalar_fields


def adapter(schema):
    annotation, field = _field(schema)
    return TypeAdapter(annotation), field.description


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


def test_fields_that_are_no_scalars_are_no_options():
    request = {
        "seed": {"type": "integer"},
        "stop": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "metadata": {"type": "object"},
    }
    schema = {"properties": request}
    document = {"components": {"schemas": {"ChatCompletionQuickRequest": schema}}}
    assert list(scalar_fields(document)) == ["seed"]
