"""scripts/regenerate without --from, and what needs a process of its own."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from regeneration import command_line, generator, swap
from regeneration.command_line import SIGNALS
from regeneration.vendored import PUBLISHED

from tests.llm_process import run_forked

ROOT = Path(__file__).parents[2]
INTERPRETER = f"'{sys.executable}'"


def run_script(*command: str | Path, **options: object) -> tuple[int, str, str]:
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, **options)  # type: ignore[call-overload]
    return done.returncode, done.stdout, done.stderr


def checkout(folder: Path, python: str | None = None) -> Path:
    """Copy what regeneration needs; `python` is a line of sh in place of the interpreter."""
    folder.mkdir()
    for name in ("scripts", "openapi", "generated_client"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "pyproject.toml", folder)
    venv = folder / ".venv"
    if python is None:
        venv.symlink_to(sys.prefix)
    else:
        interpreter = venv / "bin/python"
        interpreter.parent.mkdir(parents=True)
        interpreter.write_text(f"#!/bin/sh\n{python}\n")
        interpreter.chmod(0o755)
        for extra in ("dev", "sandbox"):
            shutil.copy(ROOT / "pyproject.toml", venv / f"installed-{extra}")
    return folder


def test_the_script_writes_the_same_bytes_wherever_it_runs(tmp_path: Path, files) -> None:
    root = checkout(tmp_path / "a folder")
    shutil.rmtree(root / "generated_client")
    # Modules of the current folder must neither be imported nor count when imports are sorted.
    for name in ("attrs.py", "httpx.py", "jinja2.py", "json.py", "ruff.py", "types.py"):
        (root / name).write_text("raise SystemExit('imported')\n")
    before = files(root)
    (tmp_path / "elsewhere/scripts").mkdir(parents=True)
    environment = {
        "PATH": "/usr/bin:/bin",
        "CDPATH": str(tmp_path / "elsewhere"),
        "LC_ALL": "C",
        "PYTHONHASHSEED": "1",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    command = ["sh", "-c", 'umask 077; exec "$@"', "sh", "scripts/regenerate"]
    code, out, err = run_script(*command, cwd=root, env=environment)
    written = files(root / "generated_client")
    # A page that was accepted can leave actions to be pruned.
    assert (code, [line for line in err.splitlines() if not line.startswith("Note: ")]) == (0, [])
    assert out.splitlines()[0] == f"generated_client: {len(written)} files, {len(written)} changed"
    assert out.splitlines()[1] == "  added    __init__.py"
    assert out.splitlines()[-1] == f"  and {len(written) - 10} more"
    # It was generated in another folder and environment.
    assert written == files(ROOT / "generated_client")
    assert {path: data for path, data in files(root).items() if "generated_client" not in path} == (
        before
    )


def test_check_lists_what_differs_and_changes_nothing(generated, files) -> None:
    workspace = generated
    (workspace.client / "client.py").write_text("")
    (workspace.client / "models/usage.py").unlink()
    (workspace.client / "models/extra.py").write_text("")
    (workspace.client / "__pycache__").mkdir(exist_ok=True)
    (workspace.client / "__pycache__/extra.cpython-311.pyc").write_text("")
    before = files(workspace.client)
    done = workspace.run("--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "Error: generated_client is not what the document generates; run scripts/regenerate:\n"
        "  changed  client.py\n"
        "  removed  models/extra.py\n"
        "  added    models/usage.py\n"
    )
    assert files(workspace.client) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: b: c\n", f"{PUBLISHED} is not YAML: mapping values are not allowed here (line 1)"),
        ("a: 1\n", f"{PUBLISHED} is not an OpenAPI document: it has no openapi field"),
        ("openapi: 3.0.3\n", f"{PUBLISHED} declares OpenAPI 3.0.3; 3.1 is understood"),
        ("swagger: '2.0'\n", f"{PUBLISHED} declares OpenAPI 2.0; 3.1 is understood"),
    ],
)  # fmt: skip
def test_another_document(workspace, content: str, message: str) -> None:
    workspace.publish(content)
    assert workspace.error() == message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "operationId: createChatCompletionQuick",
            "operationId: 7",
            f"{PUBLISHED} is invalid at paths//v1/chat/completions/post/operationId: "
            "7 is not of type 'string'",
        ),
        (
            "'#/components/schemas/MessageSimple'",
            "./other.yaml#/MessageSimple",
            f"{PUBLISHED}: $ref ./other.yaml#/MessageSimple is refused: "
            "it leads out of the document",
        ),
        (
            "    MessageSimple:\n",
            "    Loop: {$ref: '#/components/schemas/Loop'}\n    MessageSimple:\n",
            f"{PUBLISHED}: $ref #/components/schemas/Loop loops",
        ),
        (
            "    MessageSimple:\n",
            "    Renamed:\n",
            f"{PUBLISHED}: $ref #/components/schemas/MessageSimple leads nowhere",
        ),
        (
            "        object:\n          type: string\n          enum:\n"
            "            - chat.completion\n          description: 응답 유형\n"
            "          example: chat.completion\n",
            "",
            "2-corrections.yaml, action 12: (The type of a response is an open string, so that a "
            "new one breaks no client.) $.components.schemas.ChatCompletionResponse.properties."
            "object['enum', 'const'] matches nothing",
        ),
        (
            "        messages:\n          type: array\n",
            "        mixed: {enum: [1, a]}\n        messages:\n          type: array\n",
            "openapi-python-client: WARNING parsing POST /v1/chat/completions within "
            "chat_completion. Endpoint will not be generated.: "
            "Could not find reference in parsed models or enums",
        ),
    ],
    ids=[
        "invalid", "a file", "a loop", "nowhere", "an overlay", "the generator",
    ],
)  # fmt: skip
def test_a_changed_document(workspace, old: str, new: str, message: str) -> None:
    workspace.edit(old, new)
    error = workspace.error().partition("; openapi-python-client")[0]
    # The generator names the types of a set, in any order.
    assert error.replace("<class 'int'>, <class 'str'>", "<class 'str'>, <class 'int'>") == message


def test_an_edited_document(workspace) -> None:
    with (workspace.openapi / PUBLISHED).open("a") as document:
        document.write("# edited\n")
    assert workspace.error("--check") == (
        f"{PUBLISHED} is not the file that SOURCE.toml records (its sha256 differs): restore it; "
        "changes belong in an overlay"
    )


@pytest.mark.parametrize(
    "path",
    [PUBLISHED, "SOURCE.toml", "generator.yaml"],
)
def test_a_missing_file(workspace, path: str) -> None:
    (workspace.openapi / path).unlink()
    assert workspace.error() == f"{workspace.openapi / path}: No such file or directory"


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("SOURCE.toml", "sha256 = ", "SOURCE.toml is not TOML: Invalid value (at end of document)"),
        ("SOURCE.toml", "date = 2026-11-23", "SOURCE.toml holds no sha256"),
        ("SOURCE.toml", "sha256 = 7", "SOURCE.toml holds no sha256"),
        (
            "SOURCE.toml",
            "sha256 = ''\nformer_models = [7]",
            "SOURCE.toml: former_models is not a list of names",
        ),
        (
            "overlays/2-corrections.yaml",
            "a: [",
            "2-corrections.yaml is not YAML: expected the node content, "
            "but found '<stream end>' (line 1)",
        ),
        (
            "overlays/2-corrections.yaml",
            "actions: {target: $}",
            "2-corrections.yaml: actions must be a list",
        ),
        (
            "overlays/3-extensions.yaml",
            "actions: [{update: {}}]",
            "3-extensions.yaml, action 1: an action needs a target, a JSONPath",
        ),
        (
            "overlays/1-english.yaml",
            "actions: [{target: $.tags, remove: true}, {target: '$.[', update: {}}]",
            "1-english.yaml, action 2: $.[ is not a JSONPath: expected a shorthand selector",
        ),
        (
            "overlays/5-more.yaml",
            "actions: [{target: $, update: {paths: 7}}]",
            "the document with its overlays is invalid at paths: 7 is not of type 'object'",
        ),
        (
            "generator.yaml",
            "literal_enums: perhaps",
            "the generator failed: ValidationError: 1 validation error for ConfigFile "
            "literal_enums Input should be a valid boolean, unable to interpret input "
            "[type=bool_parsing, input_value='perhaps', input_type=str] For further information "
            "visit https://errors.pydantic.dev/{pydantic}/v/bool_parsing",
        ),
        (
            "templates/stock/types.py.jinja",
            "changed",
            "openapi-python-client's template no longer holds 'from http import HTTPStatus'",
        ),
        (
            "templates/types.py.jinja",
            "{% if %}",
            "template types.py.jinja, line 1: Expected an expression, got 'end of statement block'",
        ),
        (
            "templates/types.py.jinja",
            "a = ",
            "ruff check failed: generated_client/types.py:1:5: invalid-syntax: "
            "Expected an expression",
        ),
        (
            "templates/types.py.jinja",
            "UNSET = Unset()\n",
            "ruff check failed: generated_client/types.py:1:9: F821 Undefined name `Unset`",
        ),
    ],
)
def test_a_broken_file(workspace, path: str, content: str, message: str) -> None:
    file = workspace.openapi / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    pydantic = ".".join(version("pydantic").split(".")[:2])
    assert workspace.error() == message.replace("{pydantic}", pydantic)


def test_no_overlays(workspace) -> None:
    shutil.rmtree(workspace.openapi / "overlays")
    assert workspace.error() == f"{workspace.openapi / 'overlays'} holds no overlay"


def test_a_text_without_translation_is_noted_and_stays(workspace) -> None:
    workspace.edit("채팅 메시지 목록", "새 텍스트")
    done = workspace.run()
    assert (done.returncode, done.stderr) == (
        0,
        "Note: 1-english.yaml, action 13 is obsolete: no such text is published\n"
        "Note: To delete these actions: scripts/regenerate --from PAGE --prune\n",
    )
    request = (workspace.client / "models/chat_completion_quick_request.py").read_text("utf-8")
    assert "messages (list[MessageSimple]): 새 텍스트" in request


def test_a_folder_that_is_no_client_stays(workspace) -> None:
    (workspace.client / "openapi.json").rename(workspace.client / "thesis.txt")
    assert workspace.error() == (
        f"{workspace.client} is not a generated client: it has no openapi.json"
    )


def test_a_client_in_a_missing_folder(workspace) -> None:
    shutil.rmtree(workspace.client)
    nowhere = workspace.folder / "nowhere"
    message = workspace.error("--client", str(nowhere / "client"))
    assert message == f"{nowhere}: No such file or directory"


@pytest.fixture
def _restored_process() -> Iterator[None]:
    """Put signal handlers and limits back, which the command line sets for its process."""
    handlers = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGXCPU)}
    limit = resource.getrlimit(resource.RLIMIT_CPU)
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    resource.setrlimit(resource.RLIMIT_CPU, limit)


@pytest.mark.usefixtures("_restored_process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(
    workspace, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, files
) -> None:
    rmtree = shutil.rmtree

    def interrupted(folder: Path) -> None:
        signal.raise_signal(number)  # A second one, of somebody impatient.
        rmtree(folder)

    monkeypatch.setattr(generator, "generate_client", lambda *_: signal.raise_signal(number))
    monkeypatch.setattr(swap.shutil, "rmtree", interrupted)
    monkeypatch.setattr(sys, "argv", ["regenerate", *workspace.arguments()])
    before = files(workspace.client)
    with pytest.raises(SystemExit) as stopped:
        command_line.run()
    assert stopped.value.code == 128 + number
    assert (workspace.litter(), files(workspace.client)) == ([], before)


def test_a_killed_run_is_undone_by_a_check(generated, files) -> None:
    rename = Path.rename

    def rename_and_stop(self: Path, target: Path) -> Path:
        moved = rename(self, target)
        if self == generated.client:
            os.kill(os.getpid(), signal.SIGKILL)
        return moved

    def killed() -> None:
        Path.rename = rename_and_stop  # type: ignore[method-assign]
        generated.run()

    (generated.client / "client.py").write_text("old")
    before = files(generated.client)
    assert run_forked(killed) == signal.SIGKILL
    assert not generated.client.exists()
    done = generated.run("--check")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Note: a run that was killed is undone: the files are as they were before it",
        "Error: generated_client is not what the document generates; run scripts/regenerate:",
        "  changed  client.py",
    ]
    assert files(generated.client) == before


def test_a_tool_of_another_version(
    workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(re.sub('"ruff==.*"', '"ruff==0.0.1"', project))
    monkeypatch.setattr(command_line, "ROOT", tmp_path)
    assert workspace.call("--check").stderr == (
        f"Error: ruff {version('ruff')} is installed, 0.0.1 is needed: run scripts/install\n"
    )


@pytest.mark.parametrize(
    ("python", "message"),
    [
        (f'exec {INTERPRETER} -S "$@"', "openapi-python-client is not installed"),
        (
            # -m regeneration, with a module that cannot be imported.
            f'exec {INTERPRETER} -c \'import runpy, sys; sys.modules["jsonpath"] = None; '
            'runpy.run_module("regeneration", run_name="__main__", alter_sys=True)\'',
            "the Python module jsonpath is not installed",
        ),
    ],
)
def test_a_missing_tool(tmp_path: Path, python: str, message: str, files) -> None:
    root = checkout(tmp_path / "checkout", python)
    done = run_script(root / "scripts/regenerate")
    assert done == (1, "", f"Error: {message}: run scripts/install\n")
    assert files(root / "generated_client") == files(ROOT / "generated_client")


@pytest.mark.parametrize("option", ["--from", "--allow-server", "--openapi", "--client"])
def test_an_empty_value_is_refused(workspace, option: str) -> None:
    done = workspace.run(option, "")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"scripts/regenerate: error: argument {option}: it is empty\n")


def test_help(workspace) -> None:
    done = workspace.run("--help")
    assert done.returncode == 0
    assert "Write generated_client/ from the document and the overlays in openapi/." in done.stdout
