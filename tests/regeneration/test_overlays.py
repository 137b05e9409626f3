"""The overlay engine: OpenAPI Overlay 1.0."""

from copy import deepcopy
from typing import Any

import pytest
from regeneration.errors import RegenerationError
from regeneration.overlays import apply_overlay

DOCUMENT: dict[str, Any] = {
    "info": {"title": "A", "license": {"name": "MIT"}},
    "tags": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
    "paths": {"/x": {"get": {"tags": ["a"]}, "post": {"tags": ["b"]}}},
}


def apply(*actions: Any) -> tuple[dict[str, Any], list[str]]:
    document = deepcopy(DOCUMENT)
    unmatched = apply_overlay(document, {"overlay": "1.0.0", "actions": list(actions)}, "o.yaml")
    return document, unmatched


def changed(*actions: Any) -> dict[str, Any]:
    """Return what the actions make of DOCUMENT; every one of them must match."""
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
            {"title": "A", "license": {"name": "MIT", "url": "u"}},
            id="objects merge recursively",
        ),
        pytest.param(
            update("$.info", {"title": "B"}),
            "info",
            {"title": "B", "license": {"name": "MIT"}},
            id="a primitive is replaced",
        ),
        pytest.param(
            update("$.info", {"title": {"ko": "B"}}),
            "info",
            {"title": {"ko": "B"}, "license": {"name": "MIT"}},
            id="an object takes a primitive's place",
        ),
        pytest.param(
            update("$.info", {"license": None}),
            "info",
            {"title": "A", "license": None},
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
            {"title": "A"},
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
            {"title": "A"},
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


def test_an_action_that_matches_nothing_is_told_and_the_others_are_applied() -> None:
    document, unmatched = apply(
        {"target": "$.nope", "description": "Why", "update": {}},
        {"target": "$.tags[?@.name == 'z']", "remove": True},
        update("$.info", {"title": "B"}),
    )
    assert document["info"]["title"] == "B"
    assert unmatched == [
        "o.yaml, action 1 (Why): $.nope matches nothing",
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
        (remove("$"), "o.yaml, action 1: the whole document cannot be removed"),
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
        (update("$.tags", {"name": "b"}), """$['tags'] already has {"name": "b"}"""),
        (
            update("$.paths", {"/x": {"post": {"tags": ["c", "b"]}}}),
            """$['paths']['/x']['post']['tags'] already has "b\"""",
        ),
    ],
)
def test_an_action_that_does_not_fit_is_told_and_the_others_are_applied(
    action: Any, message: str
) -> None:
    document, misfits = apply(action, update("$.info", {"title": "B"}))
    assert document == {**DOCUMENT, "info": {**DOCUMENT["info"], "title": "B"}}
    assert misfits == [f"o.yaml, action 1: {message}"]


@pytest.mark.parametrize("actions", [None, [], {}, "x"])
def test_actions_that_are_no_list(actions: Any) -> None:
    with pytest.raises(RegenerationError) as raised:
        apply_overlay({}, {"actions": actions}, "o.yaml")
    assert str(raised.value) == "o.yaml: actions must be a list, and not empty"
