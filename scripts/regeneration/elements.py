"""What a document says, taken apart so that two documents can be compared part by part."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from jsonpath import JSONPointer

Key = tuple[str, ...]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
TEXTS = {"$comment", "description", "example", "examples", "externalDocs", "summary", "title"}
VARIANTS = ("oneOf", "anyOf", "allOf")
# Keywords that are told in another way: as the type, as parts of their own, as required fields.
STRUCTURE = {"$ref", "const", "enum", "items", "nullable", "properties", "required", "type"}
# Saying these is saying nothing.
DEFAULTS = {"additionalProperties": True, "deprecated": False, "uniqueItems": False}


@dataclass
class Part:
    """An operation, a response, a schema, a field: whatever can come, go and change by itself.

    `facts` are what a program depends on, `texts` what people read. `sent` and `received` tell
    whether it is part of a request and of a response. A variant comes and goes with the types that
    the part it is a variant of has.
    """

    name: str
    parent: Key | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    sent: bool = False
    received: bool = False
    variant: bool = False


def parts_of(document: dict[str, Any]) -> dict[Key, Part]:
    """Return the parts of a valid document in order, a part before those within it."""
    return _Parts(document).parts


class _Parts:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.parts: dict[Key, Part] = {}
        self._references: dict[tuple[str, bool], None] = {}
        self._api()
        for path, item in document.get("paths", {}).items():
            item = self._resolved(item)
            for method in METHODS:
                if method in item:
                    self._operation(path, method, item)
        self._schemas()
        self._servers()

    def _api(self) -> None:
        rest = {"info", "paths", "components", "servers", "tags"}
        api = self._add(("api",), Part("API"), self.document, rest)
        info = self.document["info"]
        api.facts["version"] = info["version"]
        api.texts |= {f"info {key}": value for key, value in info.items() if key != "version"}
        api.texts["tags"] = self.document.get("tags")
        for name, scheme in self.document.get("components", {}).get("securitySchemes", {}).items():
            part = Part(f"security scheme {name}")
            self._add(("security scheme", name), part, self._resolved(scheme))

    def _servers(self) -> None:
        servers = self.document.get("servers", [])
        for server in servers:
            part = Part(f"server {server['url']}")
            self._add(("server", server["url"]), part, server, {"url"})
        if servers:
            self.parts["servers",] = Part("servers", facts={"first": servers[0]["url"]})

    def _operation(self, path: str, method: str, item: dict[str, Any]) -> None:
        operation = item[method]
        place = f"{method.upper()} {path}"
        name = operation.get("operationId", place)
        key: Key = ("operation", place)
        rest = {"parameters", "requestBody", "responses", "tags"}
        part = self._add(key, Part(f"operation {name}", said=place), operation, rest)
        part.texts["tags"] = operation.get("tags")
        if "servers" in item:
            part.facts.setdefault("servers", item["servers"])
        parameters = item.get("parameters", []) + operation.get("parameters", [])
        self._parameters(key, name, map(self._resolved, parameters))
        if "requestBody" in operation:
            request = Part(f"{name} request", key, {"required": False}, sent=True)
            self._body((*key, "request"), request, self._resolved(operation["requestBody"]))
        for status, response in operation.get("responses", {}).items():
            received = Part(f"{name} response {status}", key, received=True)
            self._body((*key, "response", status), received, self._resolved(response))

    def _parameters(self, key: Key, name: str, parameters: Iterable[dict[str, Any]]) -> None:
        # One of the operation stands in place of its path's of the same name.
        for parameter in {(node["in"], node["name"]): node for node in parameters}.values():
            self._parameter(key, name, parameter)

    def _parameter(self, parent: Key, operation: str, parameter: dict[str, Any]) -> None:
        name = f"{operation} parameter {parameter['name']} ({parameter['in']})"
        key: Key = (*parent, "parameter", parameter["in"], parameter["name"])
        required = parameter.get("required", False)
        part = self._schema(
            parameter.get("schema", {}), key, name, parent, sent=True, required=required
        )
        self._add(key, part, parameter, {"name", "in", "required", "schema"})

    def _body(self, parent: Key, body: Part, node: dict[str, Any]) -> None:
        self._add(parent, body, node, {"content"})
        for content_type, media_type in node.get("content", {}).items():
            key = (*parent, content_type)
            name = f"{body.name} {content_type}"
            part = self._schema(media_type.get("schema", {}), key, name, parent, sent=body.sent)
            self._add(key, part, media_type, {"schema"})

    def _schemas(self) -> None:
        for reference, sent in self._referred():
            pointer = JSONPointer(reference[1:], uri_decode=True)
            name = _name(reference)
            schema: Any = pointer.resolve(self.document)
            self._schema(schema, ("schema", name), name, None, sent=sent)

    def _referred(self) -> Iterator[tuple[str, bool]]:
        """Yield each schema that is referred to, once for each direction; unused ones as both."""
        done = 0
        while done < len(self._references):  # Schemas refer to further ones.
            found = list(self._references)[done:]
            done += len(found)
            yield from found
        for name in self.document.get("components", {}).get("schemas", {}):
            if ("schema", name) not in self.parts:
                reference = "#/components/schemas/" + name
                yield from ((reference, True), (reference, False))

    def _schema(
        self,
        schema: dict[str, Any] | bool,
        key: Key,
        name: str,
        parent: Key | None,
        *,
        sent: bool,
        required: bool | None = None,
        variant: bool = False,
    ) -> Part:
        if isinstance(schema, bool):
            schema = {} if schema else {"not": {}}
        part = self.parts.setdefault(key, Part(name, parent, variant=variant))
        part.sent |= sent
        part.received |= not sent
        self._add(key, part, schema, STRUCTURE.union(VARIANTS))
        part.facts["type"] = _types(schema)
        if "const" in schema or "enum" in schema:
            part.facts["enum"] = schema.get("enum", [schema.get("const")])
        if required is not None:
            part.facts["required"] = required
        part.said = _describe(schema, part.facts)
        if "$ref" in schema:
            self._references[schema["$ref"], sent] = None
        self._within(schema, key, name, sent=sent)
        return part

    def _within(self, schema: dict[str, Any], key: Key, name: str, *, sent: bool) -> None:
        required = schema.get("required", [])
        for field_name, value in schema.get("properties", {}).items():
            self._schema(
                value,
                (*key, "field", field_name),
                f"{name}.{field_name}",
                key,
                sent=sent,
                required=field_name in required,
            )
        for keyword, mark in (("items", "[]"), ("additionalProperties", ".*")):
            if isinstance(value := schema.get(keyword), dict):
                self._schema(value, (*key, keyword), name + mark, key, sent=sent)
        for keyword in VARIANTS:
            for label, value in _labelled(schema.get(keyword, [])).items():
                inner = (*key, keyword, label)
                self._schema(value, inner, f"{name} as {label}", key, sent=sent, variant=True)

    def _add(
        self,
        key: Key,
        part: Part,
        node: dict[str, Any],
        rest: frozenset[str] | set[str] = frozenset(),
    ) -> Part:
        """Put the part in its place with what the node says, but for the keywords in rest."""
        for keyword, value in node.items():
            if keyword in TEXTS:
                part.texts[keyword] = value
            elif keyword not in rest and not (keyword in DEFAULTS and value == DEFAULTS[keyword]):
                # A schema there is a part of its own.
                known = keyword == "additionalProperties" and isinstance(value, dict)
                part.facts[keyword] = True if known else value
        self.parts[key] = part
        return part

    def _resolved(self, node: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in node:
            found: Any = JSONPointer(node["$ref"][1:], uri_decode=True).resolve(self.document)
            node = {**found, **{key: value for key, value in node.items() if key != "$ref"}}
        return node


def _name(reference: str) -> str:
    return reference.removeprefix("#/components/schemas/")


def _types(schema: dict[str, Any]) -> list[str]:
    """Return the types a value can have, schemas by name; none when it can be anything."""
    if "$ref" in schema:
        return [_name(schema["$ref"])]
    declared = schema.get("type", [])
    types = [declared] if isinstance(declared, str) else list(declared)
    for keyword in VARIANTS:
        types += _labelled(schema.get(keyword, []))
    if schema.get("nullable") is True and types:
        types.append("null")
    return list(dict.fromkeys(types))


def _labelled(variants: list[Any]) -> dict[str, Any]:
    """Return the variants by what tells them apart: name or type, and a number from the second."""
    labelled: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for variant in variants:
        label = " or ".join(_types(variant) if isinstance(variant, dict) else []) or "anything"
        counts[label] += 1
        labelled[label if counts[label] == 1 else f"{label} #{counts[label]}"] = variant
    return labelled


def _describe(schema: dict[str, Any], facts: dict[str, Any]) -> str:
    """Return what a field is in a few words: number 0 to 2, optional."""
    types = " or ".join(facts["type"]) or "anything"
    if types == "array" and isinstance(schema.get("items"), dict):
        types = "list of " + (" or ".join(_types(schema["items"])) or "anything")
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        types += f" {low} to {high}"
    elif low is not None:
        types += f" of at least {low}"
    elif high is not None:
        types += f" of at most {high}"
    words = [types]
    if "enum" in facts:
        words.append("one of " + ", ".join(map(str, facts["enum"])))
    told = {"minLength", "maxLength", "minItems", "maxItems", "pattern", "format", "default"}
    words += [f"{keyword} {schema[keyword]}" for keyword in schema if keyword in told]
    if "required" in facts:
        words.append("required" if facts["required"] else "optional")
    return ", ".join(words)
