"""Whether a request is one that the document and a Gemini 3 endpoint take."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from generated_client import MODELS

from ..document import Refusal, document, refuse, request_schema
from ..schema_samples import NoSampleError, resolve, sample
from .images import describe
from .tool_messages import check_tool_messages

MAX_CHOICES = 8
"""Most replies to one request; Google's API makes no more."""


@dataclass(frozen=True)
class ChatRequest:
    """A valid request.

    Attributes:
        fields: The request's JSON.
        images: What each image is, as images.describe says it.
    """

    fields: dict[str, Any]
    images: tuple[str, ...]


def check_request(fields: Any) -> ChatRequest:
    """Return the request as one that can be answered. Raises Refusal, which names the field."""
    if not isinstance(fields, dict):
        raise Refusal(400, message="The body of the request is not a JSON object")
    if isinstance(fields.get("model"), str) and fields["model"] not in MODELS:
        raise Refusal(404)
    try:
        _check_document(fields)
        _check_messages(fields["messages"])
        check_tool_messages(fields["messages"])
        _check_choices(fields)
        for param, schema in _schemas(fields):
            _check_schema(schema, param)
    except RecursionError:
        raise Refusal(400, message="The request is nested too deeply") from None
    return ChatRequest(fields, tuple(_images(fields["messages"])))


@cache
def _validator() -> Any:
    return Draft202012Validator(
        {**request_schema(), "components": document().get("components", {})}
    )


def _check_document(fields: dict[str, Any]) -> None:
    error = next(_validator().iter_errors(fields), None)
    if error:
        param, message = _explain(error)
        raise refuse(param, message)


def _explain(error: Any) -> tuple[str, str]:
    """Return the path of the field at fault and what is wrong with it."""
    path = list(error.absolute_path)
    if error.validator == "required":
        path.append(next(name for name in error.validator_value if name not in error.instance))
        return _dotted(path), "is required"
    if error.validator != "oneOf":
        return _dotted(path), error.message
    branches: dict[int, list[Any]] = {}
    for cause in error.context:
        branches.setdefault(cause.relative_schema_path[0], []).append(cause)
    best = min(branches.values(), key=_misfit)
    if not _misfit(best):
        return _explain(best[0])
    # Not even the kind of thing fits: say which kinds there are.
    kind = next(filter(_is_kind, best))
    alike = [
        repr(cause.validator_value)
        for cause in error.context
        if cause.validator == kind.validator and cause.path == kind.path
    ]
    verb = "is not of type" if kind.validator == "type" else "is not"
    return _dotted(kind.absolute_path), f"{kind.instance!r} {verb} {' or '.join(alike)}"


def _misfit(causes: list[Any]) -> int:
    """Return how little a branch is meant: 0, or 1 for another kind by const, 2 by type."""
    return max(
        (1 if cause.validator == "const" else 2) if _is_kind(cause) else 0 for cause in causes
    )


def _is_kind(cause: Any) -> bool:
    return cause.validator == "const" or (cause.validator == "type" and not cause.path)


def _dotted(path: Iterable[str | int]) -> str:
    return ".".join(map(str, path))


def _check_messages(messages: list[dict[str, Any]]) -> None:
    for at, message in enumerate(messages):
        if message["content"] is None and "tool_calls" not in message:
            raise refuse(f"messages.{at}.content", "is null, without tool calls beside it")
    if all(message["role"] == "system" for message in messages):
        raise refuse("messages", "there is nothing to answer beside the system prompt")


def _check_choices(fields: dict[str, Any]) -> None:
    """Check what a field allows only beside another."""
    if fields.get("n", 1) > MAX_CHOICES:
        raise refuse("n", f"{fields['n']} is greater than {MAX_CHOICES}")
    names = [tool["function"]["name"] for tool in fields.get("tools", ())]
    choice = fields.get("tool_choice")
    if choice == "required" and not names:
        raise refuse("tool_choice", "'required' needs tools")
    if isinstance(choice, dict) and choice["function"]["name"] not in names:
        raise refuse("tool_choice.function.name", f"{choice['function']['name']!r} is not a tool")


def _schemas(fields: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for at, tool in enumerate(fields.get("tools", ())):
        yield f"tools.{at}.function.parameters", tool["function"].get("parameters", {})
    response_format = fields.get("response_format", {})
    if response_format.get("type") == "json_schema":
        yield "response_format.json_schema.schema", response_format["json_schema"]["schema"]


def _check_schema(schema: dict[str, Any], param: str) -> None:
    for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema):
        raise refuse(_dotted((param, *error.absolute_path)), error.message)
    try:
        # A validator would fetch what a reference to elsewhere names.
        for reference in _references(schema):
            resolve(reference, schema)
        sample(schema)
    except NoSampleError as error:
        raise refuse(param, str(error)) from None


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
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
