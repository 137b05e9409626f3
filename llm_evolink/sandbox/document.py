"""The document that the sandbox speaks, and the errors that it documents."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document that the client was generated from."""
    text = files("generated_client").joinpath("openapi.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@cache
def documented_errors() -> dict[int, dict[str, Any]]:
    """Return the document's example of each error, by status."""
    responses = document()["paths"]["/v1/chat/completions"]["post"]["responses"]
    return {
        int(status): response["content"]["application/json"]["example"]["error"]
        for status, response in responses.items()
        if status != "200"
    }


class Refusal(Exception):  # noqa: N818 - the server works: it is the request that is at fault
    """An answer with a documented error instead of a reply.

    Takes the status, one of those documented, and the fields (message, param, type,
    fallback_suggestion) that differ from the document's example.
    """

    def __init__(self, status: int, **fields: str) -> None:
        super().__init__(status, fields)
        self.status = status
        self.body = {"error": {**documented_errors()[status], **fields}}


def refuse(param: str, message: str) -> Refusal:
    """Return the 400 for a field, named by its path; the message says in one line what is wrong."""
    return Refusal(400, message=shortened(f"{param}: {message}"), param=param)


def shortened(line: str) -> str:
    """Return a message without the middle of what is too long: a value can be a whole image."""
    return line if len(line) <= 300 else f"{line[:150]} … {line[-140:]}"
