"""The types that the client promises."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WRONG = """
from generated_client import AuthenticatedClient
from generated_client.api.chat_completion import create_chat_completion_quick as chat
from generated_client.models import ChatCompletionQuickRequest, Usage

client = AuthenticatedClient(base_url="", token=1)
ChatCompletionQuickRequest(messages=[], reasoning_effort="a lot")
Usage(total_tokens="1")
with chat.sync_stream(client=client, body=ChatCompletionQuickRequest(messages=[])) as chunks:
    for chunk in chunks:
        chunk.nothing
"""


def mypy(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", f"--cache-dir={folder}", *arguments],
        cwd=ROOT,
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
    assert lines == ["6", "7", "8", "11"], done.stdout


@pytest.mark.parametrize("package", ["generated_client", "generated_client.models"])
def test_a_name_that_a_package_does_not_have_is_wrong(cache: Path, package: str) -> None:
    done = mypy(cache, "-c", f"from {package} import Nothing")
    assert 'has no attribute "Nothing"' in done.stdout
