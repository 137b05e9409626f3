"""mypy and pyright accept what is right and report what is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from regeneration.generator import generate_client
from regeneration.validation import load_yaml
from regeneration.vendored import with_overlays

ROOT = Path(__file__).parents[2]

WRONG = """
from generated_client import AuthenticatedClient
from generated_client.api.chat_completion import create_chat_completion_quick as chat
from generated_client.models import ChatCompletionQuickRequest, Usage

client = AuthenticatedClient(base_url="", token=1)
ChatCompletionQuickRequest(model="a", messages=[], reasoning_effort="a lot")
Usage(total_tokens="1")
body = ChatCompletionQuickRequest(model="a", messages=[])
with chat.sync_stream(client=client, body=body) as chunks:
    for chunk in chunks:
        chunk.nothing
"""


README = (ROOT / "README.md").read_text(encoding="utf-8")
_, _, SECTION = README.partition("\n## The client by itself\n")
SAMPLES = re.findall(r"^```python\n(.*?)^```$", SECTION.partition("\n## ")[0], re.M | re.S)


def mypy(
    folder: Path, *arguments: str | Path, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={folder}", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def test_a_typed_program_is_right(cache: Path) -> None:
    done = mypy(cache, Path(__file__).with_name("typed_usage.py"), ROOT / "generated_client")
    assert done.stdout.startswith("Success"), done.stdout


def test_a_wrong_program_is_wrong(cache: Path, tmp_path: Path) -> None:
    program = tmp_path / "wrong.py"
    program.write_text(WRONG)
    done = mypy(cache, program)
    lines = [line.split(":")[1] for line in done.stdout.splitlines()[:-1]]
    assert lines == ["6", "7", "8", "12"], done.stdout


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The README's Python samples of the client, as files."""
    assert len(SAMPLES) == 3
    folder = tmp_path_factory.mktemp("samples")
    paths = [folder / f"sample_{number}.py" for number in range(len(SAMPLES))]
    for path, text in zip(paths, SAMPLES, strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def test_mypy_passes_the_readme_s_samples(cache: Path, samples: list[Path]) -> None:
    done = mypy(cache, *samples)
    assert done.stdout.startswith("Success"), done.stdout


def test_pyright_passes_the_readme_s_samples(samples: list[Path], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(WRONG)
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(
        [*command, *samples, wrong], cwd=ROOT, capture_output=True, text=True, check=False
    )
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 4
    found = [
        (each["file"], each["range"]["start"]["line"]) for each in report["generalDiagnostics"]
    ]
    assert found == [(str(wrong), line) for line in (5, 6, 7, 11)], done.stdout


NULLABLE = """
from generated_client.models import Order, Usage

order = Order.from_dict({"usage": None, "name": None})
assert (order.usage, order.name, order.to_dict()) == (None, None, {"usage": None, "name": None})
usage: Usage | None = Order(usage=Usage(total_tokens=1), name="a").usage
assert usage and usage.total_tokens == 1
try:
    Order.from_dict({"name": None})
except KeyError:
    print("required")
"""


def test_a_required_field_that_can_be_null_is_typed(cache: Path, tmp_path: Path) -> None:
    openapi = ROOT / "openapi"
    name = "gemini-3.5-flash.yaml"
    effective = with_overlays(load_yaml((openapi / name).read_bytes(), name), openapi)
    schemas = effective.document["components"]["schemas"]
    usage = {"oneOf": [{"$ref": "#/components/schemas/Usage"}, {"type": "null"}]}
    schemas["Order"] = {
        "type": "object",
        "required": ["usage", "name"],
        "properties": {"usage": usage, "name": {"type": ["string", "null"]}},
    }
    generate_client(effective, openapi, tmp_path / "generated_client")
    program = tmp_path / "nullable.py"
    program.write_text(NULLABLE)

    done = mypy(cache, program, cwd=tmp_path)

    assert done.stdout.startswith("Success"), done.stdout
    ran = subprocess.run(
        [sys.executable, program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr) == ("required\n", "")


@pytest.mark.parametrize("package", ["generated_client", "generated_client.models"])
def test_a_name_that_a_package_does_not_have_is_wrong(cache: Path, package: str) -> None:
    done = mypy(cache, "-c", f"from {package} import Nothing")
    assert 'has no attribute "Nothing"' in done.stdout
