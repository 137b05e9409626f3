"""Check of a request against EvoLink's document and the rules of Gemini 3."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from generated_client import MODELS

from .. import json_text
from ..document import Refusal, document, refuse, request_schema
from ..document import resolve as resolve_in_document
from ..schema_samples import NoSampleError, resolve, sample
from ..step_limit import StepLimitError, spend, step_limit
from .explanation import dotted, explain
from .images import describe
from .normalization import MAX_VALUES, has_many_values, normalize
from .tool_messages import check_tool_messages

MAX_CHOICES = 8
"""Maximum n; Google's API makes no more replies to one request."""

STEPS_PER_SUBSCHEMA = 5
"""Steps that checking a schema within a schema counts as, beside one for each value in it."""

MAX_STOPS = 100
"""Maximum number of texts in stop; each is searched for in the reply."""


@dataclass(frozen=True)
class ChatRequest:
    """A valid request.

    Attributes:
        fields: The request's JSON, normalized.
        images: Description of each image, as images.describe returns it.
        unknown: Names of the fields that the document does not have; they are ignored.
    """

    fields: dict[str, Any]
    images: tuple[str, ...]
    unknown: tuple[str, ...]


def check_request(body: Any, models: Collection[str] = ()) -> ChatRequest:
    """Return the request if it can be answered. Raises Refusal, which names the invalid field.

    models are accepted beside those of the document.
    """
    if not isinstance(body, dict):
        raise Refusal(400, message="The body of the request is not a JSON object")
    if has_many_values(body):
        raise Refusal(400, message=f"The request has more than {MAX_VALUES} JSON values")
    if isinstance(body.get("model"), str) and body["model"] not in (*MODELS, *models):
        raise Refusal(404)
    try:
        fields = normalize(body)
        # The document's list of models is closed, and has been checked.
        _check_document(fields | {"model": MODELS[0]} if fields.get("model") in models else fields)
        if all(message["role"] == "system" for message in fields["messages"]):
            raise refuse("messages", "there is nothing to answer beside the system prompt")
        check_tool_messages(fields["messages"])
        _check_combinations(fields)
        with step_limit():
            for param, schema in _schemas(fields):
                _check_schema(schema, param)
    except RecursionError:
        raise Refusal(400, message="The request is nested too deeply") from None
    known = resolve_in_document(request_schema()).get("properties", {})
    unknown = fields.keys() - known.keys()
    return ChatRequest(fields, tuple(_images(fields["messages"])), tuple(sorted(unknown)))


@cache
def _validator() -> Any:
    return Draft202012Validator(
        {**request_schema(), "components": document().get("components", {})}
    )


def _check_document(fields: dict[str, Any]) -> None:
    error = next(_validator().iter_errors(fields), None)
    if error:
        raise refuse(*explain(error))


def _check_combinations(fields: dict[str, Any]) -> None:
    """Check limits that the document does not have, and what a field needs beside it."""
    if fields.get("n", 1) > MAX_CHOICES:
        raise refuse("n", f"{fields['n']} is greater than the maximum of {MAX_CHOICES}")
    if isinstance(stop := fields.get("stop"), list) and len(stop) > MAX_STOPS:
        raise refuse("stop", f"has more than {MAX_STOPS} items")
    names = [tool["function"]["name"] for tool in fields.get("tools", ())]
    choice = fields.get("tool_choice")
    if choice == "required" and not names:
        raise refuse("tool_choice", '"required" needs tools')
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        raise refuse(
            "tool_choice.function.name",
            f"no tool has the name {json_text.write(choice['function']['name'])}",
        )


def _schemas(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for at, tool in enumerate(fields.get("tools", ())):
        yield f"tools.{at}.function.parameters", tool["function"].get("parameters", {})
    response_format = fields.get("response_format", {})
    if response_format.get("type") == "json_schema":
        yield "response_format.json_schema.schema", response_format["json_schema"]["schema"]


@cache
def _meta_validator() -> Any:
    return Draft202012Validator(Draft202012Validator.META_SCHEMA)


def _check_schema(schema: dict[str, Any], param: str) -> None:
    try:
        references = list(_references(schema))
        for error in _meta_validator().iter_errors(schema):
            path, message = explain(error)
            raise refuse(dotted(filter(None, (param, path))), message)
        # A validator would fetch what a reference to elsewhere names.
        for reference in references:
            resolve(reference, schema)
        sample(schema)
    except StepLimitError as error:
        raise refuse(param, f"checking the schema {error}") from None
    except NoSampleError as error:
        raise refuse(param, str(error)) from None


def _references(schema: Any) -> Iterator[str]:
    spend()
    if isinstance(schema, dict):
        spend(STEPS_PER_SUBSCHEMA)
        references = (schema.get(keyword) for keyword in ("$ref", "$dynamicRef"))
        # Not a string: a property of that name.
        yield from (reference for reference in references if isinstance(reference, str))
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _images(messages: list[dict[str, Any]]) -> Iterator[str]:
    for at, message in enumerate(messages):
        if isinstance(message["content"], list):
            for number, part in enumerate(message["content"]):
                if part["type"] == "image_url":
                    param = f"messages.{at}.content.{number}.image_url.url"
                    yield describe(part["image_url"]["url"], param)
