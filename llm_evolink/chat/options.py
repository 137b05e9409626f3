"""The options of the model: the scalar fields of the document's request, and a few by hand."""

import json
import re
from collections.abc import Callable, Iterable
from math import ceil, floor
from typing import Annotated, Any, Literal

import llm
from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import InitErrorDetails, PydanticCustomError, SchemaError

from generated_client.request_fields import REQUEST_FIELDS

from ..constants import TIMEOUT_RANGE

# Set by llm: -m, the prompt, --no-stream, --tool, --schema.
SET_BY_LLM = {"model", "messages", "stream", "stream_options", "tools", "response_format"}
# One answer is read, the model chooses among the tools, max_tokens is the same limit, and the
# time-out is the plugin's own.
NOT_OFFERED = {"n", "tool_choice", "max_completion_tokens", "timeout"}


def _arguments(function: Any) -> set[str]:
    # inspect.signature() takes 0.1 ms, at every prompt.
    code = function.__code__
    return {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}


# Python programs pass options as keyword arguments, beside these.
_ARGUMENTS_OF_PROMPT = _arguments(llm.Model.prompt) | _arguments(llm.Conversation.prompt)

# The client has Python types of its own for texts in these formats.
_TYPED_FORMATS = {"binary", "date", "date-time", "uuid"}

_TYPES = {"number": float, "integer": int, "boolean": bool, "string": str}
_BOUNDS = {
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
}

# pydantic compares an integer with integers only. The same ones fit a bound that is rounded so.
_ROUNDED: dict[str, Callable[[float], int]] = {
    "ge": ceil,
    "le": floor,
    "gt": floor,
    "lt": ceil,
    "multiple_of": int,
}

# Options that are not scalar fields of the request.
HAND_WRITTEN: dict[str, Any] = {
    "stop": (
        list | str | None,
        Field(None, description="Text at which to stop, or a JSON list of several"),
    ),
    "json_object": (bool | None, Field(None, description="Answer with a JSON object")),
    "include_thoughts": (
        bool | None,
        Field(
            None,
            description="Ask for a summary of the model's reasoning, in Google's form; whether "
            "EvoLink passes that on is not documented",
        ),
    ),
    "timeout": (
        float | None,
        Field(
            None,
            description="Seconds without progress after which the prompt fails, {:g} to {:g}; "
            "600 by default, or EVOLINK_TIMEOUT".format(*TIMEOUT_RANGE),
        ),
    ),
    "extra_body": (
        dict[str, Any] | None,
        Field(
            None,
            description='Further fields of the request, a JSON object such as {"top_k": 40}',
        ),
    ),
}


class _Base(llm.Options):
    """Checks the options that are not scalar, and explains unknown ones."""

    # pydantic then builds the validator of the class that is used, and not of this one too.
    model_config = ConfigDict(defer_build=True)

    @model_validator(mode="wrap")
    @classmethod
    def explain_unknown(cls, values: Any, validate: ModelWrapValidatorHandler[Any]) -> Any:
        """Return the options. Raises ValidationError, with a suggestion for each unknown name."""
        try:
            return validate(values)
        except ValidationError as error:
            raise _with_suggestions(error, cls.model_fields) from None

    @field_validator("extra_body", mode="before", check_fields=False)
    @classmethod
    def check_extra_body(cls, value: Any) -> Any:
        """Return the fields as a dict. Raises ValueError for those that cannot be sent."""
        from .extra_body import read_extra_body

        return None if value is None else read_extra_body(value, cls.model_fields)

    @field_validator("timeout", check_fields=False)
    @classmethod
    def check_timeout(cls, timeout: float | None) -> float | None:
        """Return the seconds. Raises ValueError for seconds out of range."""
        if timeout is not None and not TIMEOUT_RANGE[0] <= timeout <= TIMEOUT_RANGE[1]:
            raise ValueError("not a number from {:g} to {:g}".format(*TIMEOUT_RANGE))
        return timeout

    @field_validator("stop", mode="before", check_fields=False)
    @classmethod
    def check_stop(cls, stop: Any) -> Any:
        """Return a JSON list as a list. Raises ValueError unless it is text or a list of texts.

        Text in brackets, such as [END], is text: a JSON list of texts begins with a quotation mark.
        It is checked here, because llm's printer of option errors fails for an error inside a list.
        """
        if isinstance(stop, str) and re.match(r'\s*\[\s*("|\]\s*$)', stop):
            try:
                stop = json.loads(stop)
            except (ValueError, RecursionError):
                raise ValueError('begins with [" and is not a JSON list of texts') from None
        if stop == []:
            raise ValueError("an empty list")
        texts = stop if isinstance(stop, list) else [stop]
        if stop is not None and not all(isinstance(text, str) for text in texts):
            raise ValueError("not a text or a list of texts")
        return stop


def _with_suggestions(error: ValidationError, options: Iterable[str]) -> ValidationError:
    from .unknown_options import unknown_option

    details: list[InitErrorDetails] = []
    for each in error.errors(include_url=False):
        message = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            message = unknown_option(str(each["loc"][0]), options)
        reason = PydanticCustomError(each["type"], "{message}", {"message": message})
        details.append({"type": reason, "loc": each["loc"], "input": each["input"]})
    return ValidationError.from_exception_data(error.title, details)


def scalar_fields(fields: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return those of the request's fields that are options, schemas by name.

    Left out are the fields of SET_BY_LLM and NOT_OFFERED, objects, lists and dates, and names that
    a pydantic model cannot have or that llm's prompt() uses itself.
    """
    scalars = {}
    left_out = SET_BY_LLM | NOT_OFFERED | _ARGUMENTS_OF_PROMPT
    for name, schema in fields.items():
        is_name = (
            name.isidentifier() and not name.startswith("_") and not hasattr(llm.Options, name)
        )
        if is_name and _python_type(schema) and name not in left_out:
            scalars[name] = schema
    return scalars


def _python_type(schema: dict[str, Any]) -> Any:
    """Return the Python type of a scalar schema, None for any other schema."""
    declared = schema.get("type")
    names = (
        [name for name in declared if name != "null"] if isinstance(declared, list) else [declared]
    )
    if len(names) != 1 or names[0] not in _TYPES or schema.get("format") in _TYPED_FORMATS:
        return None
    values = [value for value in schema.get("enum", []) if value is not None]
    if values and all(isinstance(value, str) for value in values):
        return Literal[tuple(values)]
    return _TYPES[names[0]]


def _field(schema: dict[str, Any]) -> Any:
    """Return the type and the pydantic field of a scalar schema; the field is unset by default."""
    python_type = _python_type(schema)
    bounds: dict[str, Any] = {
        _BOUNDS[keyword]: schema[keyword] for keyword in _BOUNDS if keyword in schema
    }
    if "pattern" in bounds and not _is_pattern(bounds["pattern"]):
        del bounds["pattern"]
    if python_type is int:
        if bounds.get("multiple_of", 1) % 1:
            del bounds["multiple_of"]
        bounds = {name: _ROUNDED[name](bound) for name, bound in bounds.items() if name in _ROUNDED}
    description = str(schema.get("description", ""))
    if not description.isprintable():
        from ..text import clean

        description = clean(description) or ""
    description = description.rstrip(". ")
    return python_type | None, Field(None, description=description, **bounds)


def _is_pattern(pattern: str) -> bool:
    """Return whether pydantic supports the pattern, as it does not all of JSON Schema's."""
    try:
        TypeAdapter(Annotated[str, Field(pattern=pattern)])
    except SchemaError:
        return False
    return True


def options_class(fields: dict[str, dict[str, Any]]) -> type[llm.Options]:
    """Return the class of options for the fields of a request: the scalar ones, and HAND_WRITTEN.

    Args:
        fields: JSON Schema of each field, by name.
    """
    scalars = scalar_fields(fields)
    definitions = {
        **{
            name: _field(scalars[name]) if name in scalars else HAND_WRITTEN[name]
            for name in fields
            if name in HAND_WRITTEN or name in scalars
        },
        **{name: field for name, field in HAND_WRITTEN.items() if name not in scalars},
    }
    return create_model("Options", __base__=_Base, **definitions)


Options = options_class(REQUEST_FIELDS)
"""The options of the model; each is sent only when set, within the document's bounds."""
