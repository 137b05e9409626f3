"""Consequences of a changed document for those who use the plugin."""

from typing import Any

from .contract import request_fields, request_schema
from .diff import Change
from .elements import elements_of
from .errors import printable
from .references import schema_name

UNUSED = ("field", "parameter", "operation")


def consequences(
    old: dict[str, Any],
    new: dict[str, Any],
    changes: list[Change],
    models: tuple[tuple[str, ...], tuple[str, ...]],
) -> list[str]:
    """Return a line for each consequence: models, options, bounds, fields that are not used.

    `old` and `new` are effective documents, `models` the names of the models in each.
    """
    lines = [f"plugin: model {name} is offered" for name in models[1] if name not in models[0]]
    gone = [name for name in models[0] if name not in models[1]]
    lines += [f"plugin: model {name} is gone: a prompt to it fails" for name in gone]
    lines += _option_lines(old, new)
    lines += [f"plugin: {name} is not used" for name in _unused(new, changes)]
    return [printable(line) for line in lines]


def _option_lines(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, after = _options(old), _options(new)
    lines = [f"plugin: option {name} is offered, {after[name]}" for name in after.keys() - before]
    lines += [f"plugin: option {name} is gone" for name in before.keys() - after]
    lines += [
        f"plugin: option {name} is now {after[name]}, was {before[name]}: the bound is enforced"
        for name in before.keys() & after
        if before[name] != after[name]
    ]
    return sorted(lines)


def _options(document: dict[str, Any]) -> dict[str, str]:
    """Return type and bounds of each option, such as: number 0 to 2."""
    # Imported late: it loads llm.
    from llm_evolink.chat.options import scalar_fields

    names = scalar_fields(request_fields(document))
    elements = elements_of(document)
    schema = schema_name(request_schema(document)) or ""
    found = {name: elements.get(("schema", schema, "field", name)) for name in names}
    return {
        name: element.description.removesuffix(", optional")
        for name, element in found.items()
        if element
    }


def _unused(new: dict[str, Any], changes: list[Change]) -> list[str]:
    """Return the names of the fields, parameters and operations that were added and not used."""
    options = _options(new)
    schema = schema_name(request_schema(new)) or ""
    return [
        change.name
        for change in changes
        if change.what.startswith("added")
        # A key is (type, name), followed by type and name of each part inside.
        and any(part in UNUSED for part in change.key[:3:2] + change.key[-2:-1])
        and not (change.key[:2] == ("schema", schema) and change.key[-1] in options)
        and "response" not in change.key[-2:]
    ]
