"""What the plugin relies on in EvoLink's document, and the check that a page has it."""

from collections.abc import Iterator
from typing import Any

from .errors import RegenerationError
from .references import resolve, schema_name, without_all_of

MODEL = "gemini-3.5-flash"
PATH = "/v1/chat/completions"
OPERATION = "createChatCompletionQuick"
REFERENCE_REQUEST = "ChatCompletionRequest"
JSON = "application/json"


def chat_operation(document: dict[str, Any]) -> dict[str, Any]:
    """Return the operation that completes a chat, also at another path; empty for none."""
    operation: dict[str, Any] = _chat_path_item(document).get("post", {})
    return operation


def _chat_path_item(document: dict[str, Any]) -> dict[str, Any]:
    """Return the path item with the operation that completes a chat; empty for none."""
    items = {path: resolve(document, item) for path, item in document.get("paths", {}).items()}
    if "post" in items.get(PATH, {}):
        return items[PATH]
    named = (
        each for each in items.values() if each.get("post", {}).get("operationId") == OPERATION
    )
    return next(named, {})


def request_schema(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schema node of the chat request, as it is or as a $ref; empty for none."""
    body = resolve(document, chat_operation(document).get("requestBody", {}))
    schema: dict[str, Any] = body.get("content", {}).get(JSON, {}).get("schema", {})
    return schema


def request_fields(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the schema of each field of the chat request, without the schemas nested in it."""
    return {
        name: {
            keyword: value
            for keyword, value in flat_schema(document, schema).items()
            if not _contains_objects(value)
        }
        for name, schema in _properties(document).items()
    }


def flat_schema(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with its $ref resolved and its allOf merged."""
    return without_all_of(document, resolve(document, schema))


def _properties(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schema nodes of the fields of the chat request."""
    properties: dict[str, Any] = flat_schema(document, request_schema(document)).get(
        "properties", {}
    )
    return properties


def _contains_objects(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return any(isinstance(item, (dict, list)) for item in items)


def model_names(document: dict[str, Any]) -> list[str]:
    """Return the model names of the request: its enum or const, else its default, else none."""
    field = flat_schema(document, _properties(document).get("model", {}))
    for keyword in ("enum", "const", "default"):
        if keyword in field:
            values = field[keyword] if keyword == "enum" else [field[keyword]]
            return [value for value in values if isinstance(value, str)]
    return []


def require_our_page(document: dict[str, Any], name: str) -> None:
    """Raise RegenerationError for the page of another model, and for the reference page."""
    names = model_names(document)
    if names and MODEL not in names:
        raise RegenerationError(
            f"{name} is the page of another model, {', '.join(names)}: give the quickstart page "
            f"of {MODEL}"
        )
    if schema_name(request_schema(document)) == REFERENCE_REQUEST:
        raise RegenerationError(
            f"{name} is EvoLink's full reference page, whose schemas have other names: give the "
            f"quickstart page of {MODEL}"
        )


def contract_failures(document: dict[str, Any]) -> list[str]:
    """Return a line for each way in which the plugin does not fit the published document."""
    failures = []
    wanted = [alternative for alternative in _security(document) if alternative]
    if wanted and not any(all(map(_is_bearer, alternative)) for alternative in wanted):
        schemes = " or ".join(" and ".join(map(_show, alternative)) for alternative in wanted)
        failures.append(
            "the plugin sends the key as Authorization: Bearer, and the document now wants "
            f"{schemes}"
        )
    item = _chat_path_item(document)
    own = item.get("post", {}).get("servers") or item.get("servers") or []
    known = [server["url"] for server in document.get("servers", [])]
    if unknown := [server["url"] for server in own if server["url"] not in known]:
        failures.append(
            "the client sends every request to the servers of the document, and the chat operation "
            f"has servers of its own: {', '.join(unknown)}"
        )
    return failures


def _security(document: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Yield the alternatives of the chat operation, each a list of resolved security schemes."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    for requirement in chat_operation(document).get("security", document.get("security", [])):
        yield [resolve(document, schemes.get(name, {})) for name in requirement]


def _is_bearer(scheme: dict[str, Any]) -> bool:
    return scheme.get("type") == "http" and str(scheme.get("scheme", "")).lower() == "bearer"


def _show(scheme: dict[str, Any]) -> str:
    if scheme.get("type") == "apiKey":
        return f"an API key in the {scheme['in']} {scheme['name']}"
    return " ".join(str(scheme[key]) for key in ("type", "scheme") if key in scheme)
