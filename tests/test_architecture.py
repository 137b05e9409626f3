"""Imports between the modules of llm_evolink go one way."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]

# Each part of the package, and the parts that it may import. `__init__` holds the hooks of llm and
# the models. The commands use it; it finds them by name when one is used.
ALLOWED = {
    "__init__": {"chat", "errors", "llm_folder", "constants"},
    "commands": {
        "__init__",
        "batch",
        "chat",
        "connection",
        "sandbox",
        "failures",
        "errors",
        "extra",
        "GROUND",
    },
    "batch": {"chat", "connection", "failures", "errors", "extra", "GROUND"},
    "daft": {"batch", "chat", "connection", "errors", "extra", "GROUND"},
    "chat": {"connection", "failures", "errors", "error_report", "GROUND"},
    "connection": {"failures", "errors", "extra", "GROUND"},
    "failures": {"errors", "error_report", "GROUND"},
    "errors": {"GROUND"},
    "sandbox": {"GROUND"},
    "extra": set(),
    "constants": set(),
    "error_report": {"GROUND"},
    "text": set(),
    "redaction": set(),
    "terminal": set(),
    "retry_after": set(),
    "llm_folder": set(),
}
GROUND = {"constants", "text", "redaction", "retry_after", "terminal", "llm_folder"}
PRIVATE = {"_stream_events", "_explicit_messages"}


def module_files(package: str = "llm_evolink") -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports_of(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the files of the project that the file imports, as parts of their paths."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple((node.module or "").split(".")) if node.module else ()
            targets = [(*base, alias.name) for alias in node.names]
        else:
            continue
        for target in targets:
            while target and not (ROOT.joinpath(*target).with_suffix(".py")).is_file():
                if ROOT.joinpath(*target, "__init__.py").is_file():
                    target = (*target, "__init__")
                    break
                target = target[:-1]
            if target:
                yield target


def part_of(module: tuple[str, ...]) -> str:
    return module[1] if module[0] == "llm_evolink" else module[0]


@pytest.mark.parametrize("path", module_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_is_below_it(path):
    part = part_of(path.relative_to(ROOT).with_suffix("").parts)
    allowed = {part, "generated_client"} | ALLOWED[part]
    if "GROUND" in allowed:
        allowed |= GROUND

    assert {part_of(target) for target in imports_of(path)} <= allowed


@pytest.mark.parametrize("depth", [2, 3, 9], ids=["parts", "folders", "files"])
def test_no_import_circle(depth):
    graph: dict[PurePosixPath, set[PurePosixPath]] = {}
    for path in module_files():
        source = PurePosixPath(*path.relative_to(ROOT).with_suffix("").parts[:depth])
        targets = {PurePosixPath(*target[:depth]) for target in imports_of(path)}
        own = {target for target in targets if target.parts[0] == "llm_evolink"}
        graph.setdefault(source, set()).update(own - {source})

    TopologicalSorter(graph).prepare()  # Raises CycleError, naming the circle.


def test_private_attributes_of_llm_are_used_in_one_module():
    users = {
        path.relative_to(ROOT).as_posix()
        for path in module_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in PRIVATE
    }

    assert users == {"llm_evolink/chat/llm_private.py"}


def test_the_generated_client_imports_nothing_of_the_plugin():
    found = {target[0] for path in module_files("generated_client") for target in imports_of(path)}

    assert found == {"generated_client"}
