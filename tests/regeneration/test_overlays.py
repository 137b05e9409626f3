"""The overlay engine: OpenAPI Overlay 1.0."""

from copy import deepcopy
from typing import Any

import pytest
from regeneration.errors import RegenerationError
from regeneration.overlays import apply_overlay

DOCUMENT: dict[str, Any] = {
    "info": {"title": "A", "license": {"name": "MIT"}, "contact": {"$ref": "#/x"}},
    "tags": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
    "paths": {"/x": {"get": {"tags": ["a"]}, "post": {"tags": ["b"]}}},
}


def apply(*actions: Any, role: str | None = None) -> tuple[dict[str, Any], list[str]]:
    document = deepcopy(DOCUMENT)
    overlay = {"overlay": "1.0.0", "actions": list(actions), **({"x-role": role} if role else {})}
    outcomes = apply_overlay(document, overlay, "o.yaml")
    return document, list(map(str, outcomes))


def changed(*actions: Any) -> dict[str, Any]:
    """Return DOCUMENT with the actions applied; each of them must match."""
    document, unmatched = apply(*actions)
    assert unmatched == []
    return document


def update(target: str, value: Any) -> dict[str, Any]:
    return {"target": target, "update": value}


def remove(target: str) -> dict[str, Any]:
    return {"target": target, "remove": True}


@pytest.mark.parametrize(
    ("action", "key", "expected"),
    [
        pytest.param(
            update("$.info", {"license": {"url": "u"}}),
            "info",
            {"title": "A", "license": {"name": "MIT", "url": "u"}, "contact": {"$ref": "#/x"}},
            id="objects merge recursively",
        ),
        pytest.param(
            update("$.info", {"title": "B"}),
            "info",
            {"title": "B", "license": {"name": "MIT"}, "contact": {"$ref": "#/x"}},
            id="a primitive is replaced",
        ),
        pytest.param(
            update("$.info", {"title": {"ko": "B"}}),
            "info",
            {"title": {"ko": "B"}, "license": {"name": "MIT"}, "contact": {"$ref": "#/x"}},
            id="an object takes a primitive's place",
        ),
        pytest.param(
            update("$.info", {"license": None}),
            "info",
            {"title": "A", "license": None, "contact": {"$ref": "#/x"}},
            id="null takes an object's place",
        ),
        pytest.param(
            update("$", {"x": 1}),
            "x",
            1,
            id="$ is the document",
        ),
        pytest.param(
            update("$.tags", {"name": "d"}),
            "tags",
            [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"}],
            id="a selected list is appended to",
        ),
        pytest.param(
            update("$.paths['/x'].get.tags", ["d", "e"]),
            "paths",
            {"/x": {"get": {"tags": ["a", ["d", "e"]]}, "post": {"tags": ["b"]}}},
            id="a list appended to a selected list is one entry",
        ),
        pytest.param(
            update("$.paths['/x']", {"get": {"tags": ["d", "e"]}}),
            "paths",
            {"/x": {"get": {"tags": ["a", "d", "e"]}, "post": {"tags": ["b"]}}},
            id="lists in merged objects are joined",
        ),
        pytest.param(
            update("$.paths['/x']", {"post": {"tags": ["b", "c"]}}),
            "paths",
            {"/x": {"get": {"tags": ["a"]}, "post": {"tags": ["b", "c"]}}},
            id="a value that is already in a list is not added again",
        ),
        pytest.param(
            update("$.paths['/x'].*", {"summary": "s"}),
            "paths",
            {
                "/x": {
                    "get": {"tags": ["a"], "summary": "s"},
                    "post": {"tags": ["b"], "summary": "s"},
                }
            },
            id="every selected node is updated",
        ),
        pytest.param(
            update("$.tags[0, 0]", {"name": "z"}),
            "tags",
            [{"name": "z"}, {"name": "b"}, {"name": "c"}],
            id="a node selected twice",
        ),
        pytest.param(
            remove("$.info.license"),
            "info",
            {"title": "A", "contact": {"$ref": "#/x"}},
            id="a key is removed",
        ),
        pytest.param(
            remove("$.tags[1]"),
            "tags",
            [{"name": "a"}, {"name": "c"}],
            id="an item is removed",
        ),
        pytest.param(
            remove("$.tags[?@.name != 'b']"),
            "tags",
            [{"name": "b"}],
            id="several items of a list are removed",
        ),
        pytest.param(
            remove("$.tags[2, 0, -1]"),
            "tags",
            [{"name": "b"}],
            id="in whatever order, however often they are selected",
        ),
        pytest.param(
            remove("$..tags"),
            "paths",
            {"/x": {"get": {}, "post": {}}},
            id="nodes at several depths are removed",
        ),
        pytest.param(
            {"target": "$.info.license", "update": {"name": "no"}, "remove": True},
            "info",
            {"title": "A", "contact": {"$ref": "#/x"}},
            id="remove goes before update",
        ),
    ],
)
def test_an_action(action: dict[str, Any], key: str, expected: Any) -> None:
    document = changed(action)
    assert document.pop(key) == expected
    rest = {name: value for name, value in DOCUMENT.items() if name != key}
    if action["target"] != "$..tags":
        assert document == rest


def test_actions_are_applied_in_order() -> None:
    assert changed(remove("$.tags"), update("$", {"tags": []}), update("$.tags", "z"))["tags"] == [
        "z"
    ]
    assert changed(update("$.tags", "z"), remove("$.tags"), update("$", {"tags": []}))["tags"] == []


def test_an_update_is_copied_to_each_node() -> None:
    document = changed(
        update("$.paths['/x'].*", {"x": {"y": []}}), update("$.paths['/x'].get.x.y", 1)
    )
    assert document["paths"]["/x"]["post"]["x"] == {"y": []}


def test_an_action_that_matches_nothing_is_reported_and_the_others_are_applied() -> None:
    document, unmatched = apply(
        {"target": "$.nope", "description": "Why", "update": {}},
        {"target": "$.tags[?@.name == 'z']", "remove": True},
        update("$.info", {"title": "B"}),
    )
    assert document["info"]["title"] == "B"
    assert unmatched == [
        "o.yaml, action 1: (Why) $.nope matches nothing",
        "o.yaml, action 2: $.tags[?@.name == 'z'] matches nothing",
    ]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("x", "o.yaml, action 1: an action needs a target, a JSONPath"),
        ({"update": {}}, "o.yaml, action 1: an action needs a target, a JSONPath"),
        ({"target": 1, "update": {}}, "o.yaml, action 1: an action needs a target, a JSONPath"),
        ({"target": "$"}, "o.yaml, action 1: an action needs an update, or remove: true"),
        (
            {"target": "$", "remove": False},
            "o.yaml, action 1: an action needs an update, or remove: true",
        ),
        (remove("$.["), "o.yaml, action 1: $.[ is not a JSONPath: expected a shorthand selector"),
        (remove("$"), "o.yaml, action 1: the document itself cannot be removed"),
    ],
)
def test_what_is_not_an_action(action: Any, message: str) -> None:
    with pytest.raises(RegenerationError) as raised:
        apply(action)
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (update("$", "x"), "$ is an object: its update must be one"),
        (
            update("$.info.title", "x"),
            "$['info']['title'] is neither an object nor a list: it cannot be updated",
        ),
        (
            update("$.info.contact", {"url": "u"}),
            "$['info']['contact'] is a $ref to #/x: change what it refers to",
        ),
        (
            update("$", {"info": {"contact": {"url": "u"}}}),
            "$['info']['contact'] is a $ref to #/x: change what it refers to",
        ),
    ],
)
def test_an_action_that_does_not_fit_is_reported_and_the_others_are_applied(
    action: Any, message: str
) -> None:
    document, misfits = apply(action, update("$.info", {"title": "B"}))
    assert document == {**DOCUMENT, "info": {**DOCUMENT["info"], "title": "B"}}
    assert misfits == [f"o.yaml, action 1: {message}"]


@pytest.mark.parametrize("actions", [None, {}, "x"])
def test_actions_that_are_no_list(actions: Any) -> None:
    with pytest.raises(RegenerationError) as raised:
        apply_overlay({}, {"actions": actions}, "o.yaml")
    assert str(raised.value) == "o.yaml: actions must be a list"


def test_an_unknown_role() -> None:
    with pytest.raises(RegenerationError) as raised:
        apply(remove("$.tags"), role="x")
    assert str(raised.value) == (
        "o.yaml: x-role must be one of translation, correction, extension, pin"
    )


PUBLISHED = (
    "o.yaml, action 1 is superseded: EvoLink publishes $['f']['a'] as {}, which is used; ours is {}"
)
TITLE = "$[?@.title == 'B']"


@pytest.mark.parametrize(
    ("role", "action", "outcomes"),
    [
        # A text that is no longer published.
        ("translation", update(TITLE, {"title": "C"}),
         ["o.yaml, action 1 is obsolete: its text is no longer published"]),
        # The element is there without the defect.
        ("correction", update(TITLE, {"title": "C"}),
         ["o.yaml, action 1 is obsolete: $[?@.title == 'B'] is no longer published"]),
        ("correction", update("$.paths[?@.get.x].get", {"tags": ["c"]}),
         ["""o.yaml, action 1 is obsolete: $['paths']['/x']['get'] is published as {"tags": """
          """["a"]}; ours is {"tags": ["c"]}"""]),
        ("correction", remove("$.info.nullable"),
         ["o.yaml, action 1 is obsolete: $.info.nullable is no longer published"]),
        # The parent of the defect is gone, or behind a reference.
        ("correction", remove("$.info.summary.nullable"),
         ["o.yaml, action 1: $.info.summary.nullable matches nothing"]),
        ("correction", update("$.nowhere[?@.x].x", {"y": 1}),
         ["o.yaml, action 1: $.nowhere[?@.x].x matches nothing"]),
        ("correction", remove("$.info.contact.nullable"),
         ["o.yaml, action 1: $['info']['contact'] is a $ref to #/x: change what it refers to"]),
        ("correction", update("$[?@.contact.type == 'object'].contact", {"type": "null"}),
         ["o.yaml, action 1: $['info']['contact'] is a $ref to #/x: change what it refers to"]),
        # A pin is never obsolete.
        ("pin", remove("$.info.nullable"), []),
        ("pin", update("$.nowhere", {}), ["o.yaml, action 1: $.nowhere matches nothing"]),
    ],
)  # fmt: skip
def test_an_action_that_gives_way(role: str, action: Any, outcomes: list[str]) -> None:
    assert apply(action, role=role) == (DOCUMENT, outcomes)


NULLABLE = [{"$ref": "#/a"}, {"type": "null"}]


@pytest.mark.parametrize("ours", [{"type": ["object", "null"]}, {"oneOf": NULLABLE}])
@pytest.mark.parametrize(
    ("theirs", "fits"),
    [
        ({"allOf": [{"$ref": "#/a"}]}, False),
        ({"allOf": [{"$ref": "#/a"}], "nullable": True}, True),
        ({"allOf": [{"$ref": "#/b"}]}, True),
        ({"oneOf": [{"$ref": "#/a"}]}, False),
        ({"oneOf": [{"$ref": "#/gone"}]}, False),
        ({"oneOf": NULLABLE}, True),
        ({"anyOf": NULLABLE}, True),
        ({"anyOf": NULLABLE, "type": "object"}, False),
        ({"anyOf": [{"allOf": [{}]}]}, True),
        ({"type": "string"}, False),
        ({"type": ["string", "null"]}, True),
        ({"enum": ["x"]}, False),
        ({"enum": ["x", None]}, True),
        ({"const": "x"}, False),
        ({}, True),
        (True, True),
        (False, False),
    ],
    ids=str,
)
def test_a_correction_that_allows_null_is_obsolete_only_where_null_is_published(
    theirs: Any, fits: bool, ours: Any
) -> None:
    document = {
        "s": {"properties": {"f": theirs}},
        "a": {"type": "object"},
        "b": {"oneOf": NULLABLE},
    }
    action = update("$.s[?@.f.type == 'defect'].f", ours)
    overlay = {"x-role": "correction", "actions": [action]}
    [outcome] = apply_overlay(document, overlay, "o.yaml")
    assert outcome.status == ("obsolete" if fits else "misfit")
    if theirs == {"type": "string"} and "type" in ours:
        assert str(outcome) == (
            "o.yaml, action 1: $['s']['properties']['f'] is published as "
            '{"type": "string"}, without the null of {"type": ["object", "null"]}'
        )


def test_a_pin_replaces_lists() -> None:
    document, outcomes = apply(update("$.paths['/x'].*", {"tags": ["z"]}), role="pin")
    assert document["paths"]["/x"] == {"get": {"tags": ["z"]}, "post": {"tags": ["z"]}}
    assert outcomes == []


@pytest.mark.parametrize(
    ("theirs", "ours", "effective", "outcomes"),
    [
        (None, {"a": {"type": "string"}}, {"a": {"type": "string"}}, []),
        ({"a": {"type": "string", "description": "x"}}, {"a": {"type": "string"}},
         {"a": {"type": "string", "description": "x"}},
         ["o.yaml, action 1 is superseded: EvoLink publishes $['f']['a']"]),
        ({"a": {"type": "integer"}}, {"a": {"type": "string", "minLength": 1}, "b": {}},
         {"a": {"type": "integer"}, "b": {}},
         [PUBLISHED.format('{"type": "integer"}', '{"minLength": 1, "type": "string"}')]),
        # Lists of values are united.
        ({"a": {"enum": ["u", "x"]}}, {"a": {"enum": ["s", "u"]}},
         {"a": {"enum": ["u", "x", "s"]}}, []),
        ({"a": ["u"]}, {"a": ["s"]}, {"a": ["u", "s"]}, []),
        ({"a": {"enum": ["u", "s"]}}, {"a": {"enum": ["s"]}}, {"a": {"enum": ["u", "s"]}},
         [PUBLISHED.format('{"enum": ["u", "s"]}', '{"enum": ["s"]}')]),
        # So is null.
        ({"a": False}, {"a": {"type": ["array", "null"]}}, {"a": False},
         [PUBLISHED.format("false", '{"type": ["array", "null"]}')]),
        ({"a": {"type": "array", "items": {}}}, {"a": {"type": ["array", "null"]}},
         {"a": {"type": ["array", "null"], "items": {}}}, []),
        ({"a": {"$ref": "#/f/b", "title": "T"}, "b": {"type": "string"}},
         {"a": {"type": ["string", "null"]}},
         {"a": {"title": "T", "oneOf": [{"$ref": "#/f/b"}, {"type": "null"}]},
          "b": {"type": "string"}}, []),
        ({"a": {"type": "string", "enum": ["x"]}}, {"a": {"type": ["string", "null"]}},
         {"a": {"oneOf": [{"type": "string", "enum": ["x"]}, {"type": "null"}]}}, []),
        ({"a": {"type": ["integer", "null"]}}, {"a": {"type": ["string", "null"]}},
         {"a": {"type": ["integer", "null"]}},
         [PUBLISHED.format('{"type": ["integer", "null"]}', '{"type": ["string", "null"]}')]),
        # A published reference stays, too.
        ({"a": {"$ref": "#/x"}}, {"a": {"type": "object"}}, {"a": {"$ref": "#/x"}},
         [PUBLISHED.format('{"$ref": "#/x"}', '{"type": "object"}')]),
    ],
)  # fmt: skip
def test_an_extension_adds_what_is_absent(
    theirs: Any, ours: Any, effective: Any, outcomes: list[str]
) -> None:
    document = {"f": deepcopy(theirs or {})}
    overlay = {"x-role": "extension", "actions": [update("$.f", ours)]}
    assert list(map(str, apply_overlay(document, overlay, "o.yaml"))) == outcomes
    assert document == {"f": effective}
