"""An import loads only the modules that are used, whichever is imported first."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import generated_client
from generated_client import models

ROOT = Path(__file__).parents[2]


def fresh(program: str, *arguments: str) -> str:
    """Return what the program prints in an interpreter that treats every warning as an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    names = fresh(f"import json, sys\n{statement}\nprint(json.dumps(list(sys.modules)))")
    return set(json.loads(names))


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "generated_client"}


@pytest.mark.parametrize(
    ("statement", "modules"),
    [
        ("import generated_client", {"generated_client"}),
        ("import generated_client.models", {"generated_client", "generated_client.models"}),
        (
            "from generated_client.models import Usage",
            {
                "generated_client",
                "generated_client.models",
                "generated_client.models.usage",
                "generated_client.types",
            },
        ),
        (
            "import generated_client.models as m; m.Usage.from_dict({'prompt_tokens_details': {}})",
            {
                "generated_client",
                "generated_client.models",
                "generated_client.models.usage",
                "generated_client.models.usage_prompt_tokens_details",
                "generated_client.types",
            },
        ),
    ],
)
def test_an_import_loads_what_is_used(statement: str, modules: set[str]) -> None:
    loaded = loaded_by(statement)
    assert ours(loaded) == modules
    assert not loaded & {"httpx", "asyncio"}


def test_the_sync_functions_do_not_load_asyncio() -> None:
    loaded = loaded_by(
        "from generated_client.api.chat_completion.create_chat_completion_quick import sync_stream"
    )
    assert "generated_client.responses" in loaded
    assert "asyncio" not in loaded


ALONE = """
import importlib, sys
for name in sys.argv[1:]:
    for loaded in [other for other in sys.modules if other.startswith("generated_client")]:
        del sys.modules[loaded]
    importlib.import_module(name)
    print(name)
"""


def test_every_module_can_be_imported_first() -> None:
    files = sorted((ROOT / "generated_client").rglob("*.py"))
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in files
    ]
    assert len(names) > 40
    assert fresh(ALONE, *names).split() == names


@pytest.mark.parametrize("package", [generated_client, models])
def test_dir_of_a_package_lists_its_names(package: object) -> None:
    names = list(package.__all__)  # type: ignore[attr-defined]
    assert dir(package) == sorted(names)
    for name in names:
        getattr(package, name)
    with pytest.raises(AttributeError, match=r"^module '.*' has no attribute 'Nothing'$"):
        package.Nothing  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError):
        exec(f"from {package.__name__} import Nothing")  # type: ignore[attr-defined]


def test_a_model_is_the_same_by_either_import() -> None:
    from generated_client.models.usage import Usage

    assert models.Usage is Usage


@pytest.mark.parametrize("package", [generated_client, models])
def test_star_imports_all(package: object) -> None:
    program = f"from {package.__name__} import *\nprint(*sorted(set(dir()) - set(before)))"  # type: ignore[attr-defined]
    names = fresh(f"before = [*dir(), 'before']\n{program}").split()
    assert names == sorted(package.__all__)  # type: ignore[attr-defined]


RESPONSE_MODELS = [
    "assistant_message",
    "chat_completion_chunk",
    "choice",
    "chunk_choice",
    "delta",
    "tool_call_delta",
    "usage",
]


@pytest.mark.parametrize("module", RESPONSE_MODELS)
def test_a_model_of_a_response_imports_nothing_while_it_decodes(module: str) -> None:
    source = Path(generated_client.__file__).with_name("models") / f"{module}.py"
    assert "\n        from ..models." not in source.read_text()
