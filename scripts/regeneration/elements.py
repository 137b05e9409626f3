"""Splits a document into elements, so that two documents are compared element by element."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .references import pointer, resolve, schema_name, without_all_of

Key = tuple[str, ...]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
TEXTS = {"$comment", "description", "example", "examples", "externalDocs", "summary", "title"}
VARIANTS = ("oneOf", "anyOf")
# Keywords that an element has in another form: as its type, as elements, as required fields.
STRUCTURE = {
    "$ref",
    "allOf",
    "const",
    "enum",
    "items",
    "nullable",
    "properties",
    "required",
    "type",
}
# Keywords with the value that they have when they are absent.
DEFAULTS = {"additionalProperties": True, "deprecated": False, "uniqueItems": False}


@dataclass
class Element:
    """An operation, a response, a schema, a field: what can be added, removed and changed.

    Attributes:
        name: What to call it in messages.
        parent: Key of the element that it is part of; None for an element of the document.
        facts: What a program depends on, by keyword.
        texts: What people read, by keyword.
        json_types: JSON types by type, where the type is the name of a schema.
        description: Type, bounds and whether it is required, in a few words.
        sent: Whether it is part of a request.
        received: Whether it is part of a response.
        variant: Whether it is one of several types of its parent.
    """

    name: str
    parent: Key | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, Any] = field(default_factory=dict)
    json_types: dict[str, list[str]] = field(default_factory=dict)
    description: str = ""
    sent: bool = False
    received: bool = False
    variant: bool = False


def elements_of(
    document: dict[str, Any], old_operations: dict[str, str] | None = None
) -> dict[Key, Element]:
    """Return the elements of a valid document by key, an element before those that are part of it.

    Operations are known by their operationId; `old_operations` gives the operationId that another
    document has at a method and path, so that a renamed operation has the same key.
    """
    return _Elements(document, old_operations or {}).elements


def operation_names(document: dict[str, Any]) -> dict[str, str]:
    """Return the operationId of each operation by method and path, such as POST /v1/x."""
    return {
        f"{method.upper()} {path}": item[method].get("operationId", f"{method.upper()} {path}")
        for path, node in document.get("paths", {}).items()
        for item in [resolve(document, node)]
        for method in METHODS
        if method in item
    }


class _Elements:
    def __init__(self, document: dict[str, Any], old_operations: dict[str, str]) -> None:
        self.document = document
        self.elements: dict[Key, Element] = {}
        self._references: dict[tuple[str, bool], None] = {}
        self._extensions: list[Any] = []
        names = operation_names(document)
        self._api()
        for path, item in document.get("paths", {}).items():
            item = resolve(document, item)
            for method in METHODS:
                if method in item:
                    place = f"{method.upper()} {path}"
                    old = old_operations.get(place, "")
                    renamed = bool(old) and old not in names.values()
                    self._operation(place, old if renamed else names[place], item, item[method])
        self._schemas()
        self._servers()
        self.elements["extensions",] = Element("x- fields", facts={"extensions": self._extensions})

    def _api(self) -> None:
        rest = {"info", "paths", "components", "servers", "tags", "security"}
        api = self._add(("api",), Element("API"), self.document, rest)
        info = self.document["info"]
        api.facts["version"] = info["version"]
        api.texts |= {f"info {key}": value for key, value in info.items() if key != "version"}
        for name, scheme in self.document.get("components", {}).get("securitySchemes", {}).items():
            element = Element(f"security scheme {name}")
            scheme = {**resolve(self.document, scheme)}
            scheme["scheme type"] = scheme.pop("type", None)
            self._add(("security scheme", name), element, scheme)

    def _servers(self) -> None:
        servers = self.document.get("servers", [])
        for server in servers:
            element = Element(f"server {server['url']}")
            self._add(("server", server["url"]), element, server, {"url"})
        if servers:
            first = {"first": servers[0]["url"]}
            self.elements["servers",] = Element("servers", facts=first)

    def _operation(
        self, place: str, known_as: str, item: dict[str, Any], operation: dict[str, Any]
    ) -> None:
        name = operation.get("operationId", place)
        key: Key = ("operation", known_as)
        rest = {"parameters", "requestBody", "responses", "tags", "security"}
        element = Element(f"operation {known_as}", description=place)
        self._add(key, element, operation, rest)
        element.facts["operationId"] = name
        element.facts["place"] = place
        element.facts["security"] = self._security(operation)
        if "servers" in item:
            element.facts.setdefault("servers", item["servers"])
        parameters = item.get("parameters", []) + operation.get("parameters", [])
        self._parameters(key, name, (resolve(self.document, each) for each in parameters))
        if "requestBody" in operation:
            request = Element(f"{name} request", key, {"required": False}, sent=True)
            body = resolve(self.document, operation["requestBody"])
            self._body((*key, "request"), request, body)
        for status, response in operation.get("responses", {}).items():
            received = Element(f"{name} response {status}", key, received=True)
            body = resolve(self.document, response)
            self._body((*key, "response", status), received, body)

    def _security(self, operation: dict[str, Any]) -> list[list[str]]:
        """Return the alternatives of the operation, its own or those of the API, as words."""
        schemes = self.document.get("components", {}).get("securitySchemes", {})
        alternatives = []
        for requirement in operation.get("security", self.document.get("security", [])):
            words = []
            for name, scopes in requirement.items():
                scheme = resolve(self.document, schemes.get(name, {}))
                keys = ("type", "scheme", "in", "name")
                words.append(" ".join([*(scheme[key] for key in keys if key in scheme), *scopes]))
            alternatives.append(sorted(words))
        return alternatives

    def _parameters(self, key: Key, name: str, parameters: Iterable[dict[str, Any]]) -> None:
        # A parameter of the operation replaces its path's of the same name.
        for parameter in {(node["in"], node["name"]): node for node in parameters}.values():
            self._parameter(key, name, parameter)

    def _parameter(self, parent: Key, operation: str, parameter: dict[str, Any]) -> None:
        name = f"{operation} parameter {parameter['name']} ({parameter['in']})"
        key: Key = (*parent, "parameter", parameter["in"], parameter["name"])
        required = parameter.get("required", False)
        element = self._schema(
            parameter.get("schema", {}), key, name, parent, sent=True, required=required
        )
        self._add(key, element, parameter, {"name", "in", "required", "schema"})

    def _body(self, parent: Key, body: Element, node: dict[str, Any]) -> None:
        self._add(parent, body, node, {"content"})
        for content_type, media_type in node.get("content", {}).items():
            key = (*parent, content_type)
            name = f"{body.name} {content_type}"
            element = self._schema(media_type.get("schema", {}), key, name, parent, sent=body.sent)
            self._add(key, element, media_type, {"schema"})

    def _schemas(self) -> None:
        for reference, sent in self._referenced():
            name = schema_name({"$ref": reference}) or reference
            schema: Any = pointer(reference).resolve(self.document)
            self._schema(schema, ("schema", name), name, None, sent=sent)

    def _referenced(self) -> Iterator[tuple[str, bool]]:
        """Yield each referenced schema, once for each direction; unused ones in both."""
        done = 0
        while done < len(self._references):  # Schemas refer to further ones.
            found = list(self._references)[done:]
            done += len(found)
            yield from found
        for name in self.document.get("components", {}).get("schemas", {}):
            if ("schema", name) not in self.elements:
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
    ) -> Element:
        if isinstance(schema, bool):
            schema = {} if schema else {"not": {}}
        schema = self._flat(schema)
        element = self.elements.setdefault(key, Element(name, parent, variant=variant))
        element.sent |= sent
        element.received |= not sent
        self._add(key, element, schema, STRUCTURE.union(VARIANTS))
        element.facts["type"] = self._types(schema, element.json_types)
        if "const" in schema or "enum" in schema:
            element.facts["enum"] = schema.get("enum", [schema.get("const")])
        if required is not None:
            element.facts["required"] = required
        element.description = self._describe(schema, element.facts)
        if "$ref" in schema:
            self._references[schema["$ref"], sent] = None
        self._children(schema, key, name, sent=sent)
        return element

    def _flat(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the schema with its allOf merged, and with one type or null as a list of types."""
        schema = without_all_of(self.document, schema)
        for keyword in VARIANTS:
            variants = schema.get(keyword, [])
            typed = [each for each in variants if each != {"type": "null"}]
            if len(variants) == 2 and len(typed) == 1 and isinstance(typed[0], dict):
                rest = {name: value for name, value in schema.items() if name != keyword}
                return {**typed[0], **rest, "nullable": True}
        return schema

    def _children(self, schema: dict[str, Any], key: Key, name: str, *, sent: bool) -> None:
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
            for label, value in self._labelled(schema.get(keyword, [])).items():
                inner = (*key, "variant", label)
                self._schema(value, inner, f"{name} as {label}", key, sent=sent, variant=True)

    def _add(
        self,
        key: Key,
        element: Element,
        node: dict[str, Any],
        rest: frozenset[str] | set[str] = frozenset(),
    ) -> Element:
        """Put the element in its place with the facts and texts of the node, except rest."""
        for keyword, value in node.items():
            if keyword in TEXTS:
                element.texts[keyword] = value
            elif keyword.startswith("x-"):
                self._extensions.append([*key, keyword, value])
            elif keyword not in rest and not (keyword in DEFAULTS and value == DEFAULTS[keyword]):
                # A schema there is an element of its own.
                known = keyword == "additionalProperties" and isinstance(value, dict)
                element.facts[keyword] = True if known else value
        self.elements[key] = element
        return element

    def _types(
        self, schema: dict[str, Any], json_types: dict[str, list[str]] | None = None
    ) -> list[str]:
        """Return the types of the schema, schemas by name; empty when it can be anything."""
        nullable = ["null"] if schema.get("nullable") is True else []
        if name := schema_name(schema):
            if json_types is not None:
                target = self._flat(resolve(self.document, {"$ref": schema["$ref"]}))
                json_types[name] = [] if "$ref" in target else self._types(target)
            return [name, *nullable]
        declared = schema.get("type", [])
        types = [declared] if isinstance(declared, str) else list(declared)
        for keyword in VARIANTS:
            for variant in schema.get(keyword, []):
                if isinstance(variant, dict):
                    self._types(variant, json_types)
            types += self._labelled(schema.get(keyword, []))
        return list(dict.fromkeys(types + nullable if types else types))

    def _labelled(self, variants: list[Any]) -> dict[str, Any]:
        """Return the variants by name or type, numbered from the second of the same type."""
        labelled: dict[str, Any] = {}
        counts: Counter[str] = Counter()
        for variant in variants:
            types = self._types(variant) if isinstance(variant, dict) else []
            label = " or ".join(types) or "anything"
            counts[label] += 1
            labelled[label if counts[label] == 1 else f"{label} #{counts[label]}"] = variant
        return labelled

    def _describe(self, schema: dict[str, Any], facts: dict[str, Any]) -> str:
        """Return the field in a few words: number 0 to 2, optional."""
        types = " or ".join(facts["type"]) or "anything"
        if types == "array" and isinstance(schema.get("items"), dict):
            types = "list of " + (" or ".join(self._types(schema["items"])) or "anything")
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
        shown = {"minLength", "maxLength", "minItems", "maxItems", "pattern", "format", "default"}
        words += [f"{keyword} {schema[keyword]}" for keyword in schema if keyword in shown]
        if "required" in facts:
            words.append("required" if facts["required"] else "optional")
        return ", ".join(words)
