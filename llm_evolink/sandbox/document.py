"""The document that the sandbox follows: its operation, its request and its errors."""

import json
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

PATH = "/v1/chat/completions"
JSON = "application/json"


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document that the client was generated from."""
    text = files("generated_client").joinpath("openapi.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """Return the object of the document that a $ref leads to; any other object as it is."""
    while isinstance(reference := node.get("$ref"), str):
        node = document()
        for name in reference.removeprefix("#/").split("/"):
            node = node[unquote(name).replace("~1", "/").replace("~0", "~")]
    return node


@cache
def operation() -> dict[str, Any]:
    """Return the operation that completes a chat."""
    found: dict[str, Any] = resolve(document()["paths"][PATH])["post"]
    return found


@cache
def request_schema() -> dict[str, Any]:
    """Return the schema of the request, which can be a $ref."""
    schema: dict[str, Any] = resolve(operation()["requestBody"])["content"][JSON]["schema"]
    return schema


@cache
def documented_errors() -> dict[int, dict[str, Any]]:
    """Return the fields of each documented error by status: those of its example, if it has one."""
    return {
        int(status): _error_fields(int(status), resolve(response))
        for status, response in operation()["responses"].items()
        if status.isdecimal() and not status.startswith("2")
    }


def _error_fields(status: int, response: dict[str, Any]) -> dict[str, Any]:
    """Return the error of the response's first example, else one with its description."""
    content = response.get("content", {}).get(JSON, {})
    examples = [resolve(each).get("value") for each in content.get("examples", {}).values()]
    for example in (content.get("example"), *examples):
        if isinstance(example, dict):
            error = example.get("error", example)
            if isinstance(error, dict):
                return error
    message = response.get("description") or f"Error {status}"
    return {"code": status, "message": message, "type": "error"}


class Refusal(Exception):  # noqa: N818 - an error of the client, not of the server
    """Raised to answer a request with an error.

    Args:
        status: The HTTP status.
        fields: The fields (message, param, type, fallback_suggestion) that differ from the
            document's example of an error with that status.
    """

    def __init__(self, status: int, **fields: str) -> None:
        super().__init__(status, fields)
        self.status = status
        error = documented_errors().get(status) or _error_fields(status, {})
        self.body = {"error": {**error, **fields}}


def refuse(param: str, message: str) -> Refusal:
    """Return the 400 for a field, named by its path; the message says in one line what is wrong."""
    return Refusal(400, message=shortened(f"{param}: {message}"), param=param)


def shortened(line: str) -> str:
    """Return the message with its middle cut out if it is long: a value can be an image."""
    return line if len(line) <= 300 else f"{line[:150]} … {line[-140:]}"
