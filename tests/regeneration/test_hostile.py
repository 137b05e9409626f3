"""Hostile documents: none executes, connects, runs for ever or writes to a terminal."""

import ast
import builtins
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from regeneration.errors import RegenerationError
from regeneration.generator import BIDIRECTIONAL, RESERVED, generate_client
from regeneration.update import read_update
from regeneration.vendored import Effective, vendored_document, with_overlays

from tests.llm_process import TIMEOUT

ROOT = Path(__file__).parents[2]
FROZEN = Path(__file__).parent / "frozen"
OPENAPI = ROOT / "openapi"
MESSAGES = "        messages:\n          type: array\n"
IMPORT_ALL = """
import importlib, pkgutil, generated_client

for module in pkgutil.walk_packages(generated_client.__path__, "generated_client."):
    importlib.import_module(module.name)
"""


def with_texts(node: Any, text: str) -> Any:
    """Return the document with this text in place of every one that people read."""
    if isinstance(node, list):
        return [with_texts(item, text) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: text
        if key in {"description", "summary", "title", "message"} and isinstance(value, str)
        else with_texts(value, text)
        for key, value in node.items()
    }


def generate(document: dict[str, Any], folder: Path) -> Path:
    """Write the client of the effective document."""
    target = folder / "generated_client"
    generate_client(Effective(document, ("m",), (), []), OPENAPI, target)
    return target


def code(client: Path) -> dict[str, str]:
    """Return what each module does: its syntax tree, with nothing in its strings."""
    trees = {}
    for path in client.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                node.value = ""
        trees[str(path.relative_to(client))] = ast.dump(tree)
    return trees


@pytest.fixture
def document() -> dict[str, Any]:
    """The effective document, to be changed."""
    return with_overlays(vendored_document(FROZEN), FROZEN).document


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The modules when every text is a harmless one."""
    document = with_overlays(vendored_document(FROZEN), FROZEN).document
    return code(generate(with_texts(document, "words"), tmp_path_factory.mktemp("plain")))


@pytest.mark.parametrize(
    "text",
    [
        '"""\nraise SystemExit\n"""',
        '\\"""+exit()+"""\\',
        "'''\n{{ 7 * 7 }}{% raw %}\\N{x}\\u12 \x00\x1b[31m\r\nexit()\u2028exit()\x0cexit()\"",
        "Returns: Args: Raises: Args:",
    ],
)
def test_a_text_stays_a_text(
    document: dict[str, Any], plain: dict[str, str], tmp_path: Path, text: str
) -> None:
    assert code(generate(with_texts(document, text), tmp_path)) == plain


def test_names_and_values_stay_names_and_values(
    document: dict[str, Any], tmp_path: Path, files
) -> None:
    names = ['"""', "a\\", "'+exit()+'", "a\nexit()", "../../x", "class", "\x1b[31m", "{{7}}"]
    request = document["components"]["schemas"]["ChatCompletionQuickRequest"]["properties"]
    for number, name in enumerate(names):
        request[name] = {"type": "string", "default": name}
        request[f"choice_{number}"] = {"type": "string", "enum": [name, "b"], "default": name}
    before = files(tmp_path)
    client = generate(document, tmp_path / "a/b/c")
    assert {path: data for path, data in files(tmp_path).items() if path[:5] != "a/b/c"} == before
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        cwd=client.parent,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["d", "field_dict", "from_dict"])
def test_a_field_that_the_class_needs_for_itself(
    document: dict[str, Any], tmp_path: Path, name: str
) -> None:
    document["components"]["schemas"]["Usage"]["properties"][name] = {"type": "string"}
    with pytest.raises(RegenerationError) as raised:
        generate(document, tmp_path)
    assert str(raised.value) == (
        f"Usage.{name}: the generated class uses that name itself; rename the field in an overlay"
    )


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ("ChatCompletionResponse", "choices_type_0_item"),
        ("ChatCompletionQuickRequest", "messages_item_data"),
        ("MessageSimple", "check_message_simple_role"),
    ],
)
def test_a_field_that_another_field_needs(
    document: dict[str, Any], tmp_path: Path, schema: str, name: str
) -> None:
    document["components"]["schemas"][schema]["properties"][name] = {"type": "string"}
    with pytest.raises(RegenerationError, match=f"^{schema}.{name}: "):
        generate(document, tmp_path)


def test_the_generator_s_errors_show_names(document: dict[str, Any], tmp_path: Path) -> None:
    properties = document["components"]["schemas"]["Usage"]["properties"]
    properties |= {"id": {"type": "string"}, "$id": {"type": "string"}}
    with pytest.raises(RegenerationError, match=r"Properties <\$id> and <id> have the same"):
        generate(document, tmp_path)


def test_every_name_of_a_generated_class_is_reserved(frozen_client: Path) -> None:
    """A field of such a name would replace a variable, a method or an import."""
    names = set()
    for path in (frozen_client / "models").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for model in (node for node in tree.body if isinstance(node, ast.ClassDef)):
            fields = {node.target.id for node in model.body if isinstance(node, ast.AnnAssign)}
            own = {path.stem, *fields, *(f"{field}_data" for field in fields)}
            functions = [node for node in model.body if isinstance(node, ast.FunctionDef)]
            for function in functions:
                if function.name in ("to_dict", "from_dict"):
                    names |= names_of(function) - {
                        name for name in names_of(function) if is_of_a_field(name, own)
                    }
            names |= {node.name for node in functions if not node.name.startswith("__")}
    # The generator adds an underscore to a field with the name of a built-in.
    checks = {name for name in names if name.startswith("check_")}
    assert names - RESERVED - checks - set(dir(builtins)) == set()


def names_of(function: ast.FunctionDef) -> set[str]:
    """Return the names that a field can have: lower case, without a leading underscore."""
    found = {argument.arg for argument in function.args.args}
    # Nested functions have variables of their own.
    nodes: list[ast.AST] = list(function.body)
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            continue
        if isinstance(node, ast.Name):
            found.add(node.id)
        nodes += ast.iter_child_nodes(node)
    return {name for name in found if name == name.lower() and not name.startswith("_")}


def is_of_a_field(name: str, fields: set[str]) -> bool:
    return any(name == field or name.startswith(f"{field}_") for field in fields)


def run(workspace, replacement: str) -> tuple[str, str]:
    """Run with a page that has this in place of the field messages; it stops, nothing written."""
    before = workspace.files()
    done = workspace.run("--from", str(workspace.page(MESSAGES, replacement + MESSAGES)))
    assert done.returncode == 1
    assert workspace.files() == before
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            "{$ref: '/etc/passwd#/a'}",
            "$ref /etc/passwd#/a is refused: it leads out of the document",
        ),
        ("{$ref: 'PAGES/a'}", "$ref PAGES/a is refused: it leads out of the document"),
        ("{$ref: '#/components/schemas/Loop'}", "$ref #/components/schemas/Loop leads nowhere"),
        (r"""{$ref: "\e[31m\n"}""", r"$ref \x1b[31m\n is refused: it leads out of the document"),
    ],
)
def test_a_reference(workspace, pages, schema: str, message: str) -> None:
    url = pages.url("")
    page = workspace.page(MESSAGES, f"        more: {schema.replace('PAGES', url)}\n{MESSAGES}")
    with pytest.raises(RegenerationError) as raised:
        read_update(str(page), workspace.openapi)
    message = message.replace("PAGES", url)
    assert str(raised.value) == f"the document at line 8 of {page}: {message}"
    assert pages.requested == []


FETCHED = """\
        a: {$id: 'PAGES/a', properties: {a: {$ref: '#/components/schemas/Usage'}}}
        b: {$dynamicRef: 'PAGES/a'}
        c: {oneOf: [{$ref: '#/components/schemas/Usage'}], discriminator: {propertyName: a,
          mapping: {a: 'PAGES/a'}}}
        d: {$schema: 'PAGES/a'}
"""


def test_nothing_is_fetched_and_a_name_is_escaped(workspace, pages) -> None:
    fields = FETCHED.replace("PAGES", pages.url(""))
    fields += r'        "\e]0;title\a\n\u202e": {type: string}' + "\n"
    update = read_update(str(workspace.page(MESSAGES, fields + MESSAGES)), workspace.openapi)
    assert pages.requested == []
    assert (
        r"ChatCompletionQuickRequest.\x1b]0;title\x07\n\u202e: added, string, optional"
    ) in update.report


def test_bidirectional_characters_are_escaped(document: dict[str, Any], tmp_path: Path) -> None:
    text = "a\u202eb\u2066\\\u200fc"
    schema = document["components"]["schemas"]["Usage"]
    schema["description"] = text
    schema["properties"][text] = {"type": "string"}
    client = generate(document, tmp_path)
    sources = "".join(path.read_text("utf-8") for path in client.rglob("*") if path.is_file())
    assert [character for character in BIDIRECTIONAL if character in sources] == []
    written = json.loads((client / "openapi.json").read_text("utf-8"))
    assert written["components"]["schemas"]["Usage"]["description"] == text
    script = "import sys, json; from generated_client.models import Usage; "
    script += "print(json.dumps(Usage.from_dict(json.load(sys.stdin)).to_dict()))"
    given = json.dumps({text: "x"})
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, input=given, capture_output=True, text=True
    )
    assert (json.loads(done.stdout), done.stderr) == ({text: "x"}, "")


def test_a_document_over_the_limit(workspace) -> None:
    out, err = run(workspace, "".join(f"        f{n}: {{type: string}}\n" for n in range(50_000)))
    assert out == ""
    assert err.endswith("page.md is larger than 1 MB\n")


def test_a_pattern_that_never_ends(workspace) -> None:
    schema = f"{{type: string, pattern: '^(a+)+$', default: {'a' * 99}b}}"
    page = workspace.page(MESSAGES, f"        more: {schema}\n{MESSAGES}")
    script = "import regeneration.command_line as program; program.MOST_SECONDS = 1; program.run()"
    arguments = workspace.arguments("--from", str(page))
    before = workspace.files()
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=workspace.environment(PYTHONPATH=str(ROOT / "scripts")),
        capture_output=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "Error: stopped after 1 seconds of CPU; nothing was written\n",
    )
    assert (workspace.litter(), workspace.files()) == ([], before)
