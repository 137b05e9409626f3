"""The wheel and the sdist, as someone else installs them."""

import importlib
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_both_packages_typed(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {"generated_client/py.typed", "llm_evolink/py.typed"} <= names
    assert {"generated_client/openapi.json", "llm_evolink/sandbox/app.py"} <= names
    assert {name.split("/")[0] for name in names} == {
        "generated_client",
        "llm_evolink",
        "llm_evolink-0.2.0.dist-info",
    }


def test_the_sdist_holds_what_regenerating_and_testing_need(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"openapi/gemini-3.5-flash.yaml", "scripts/regenerate", "tests/conftest.py"} <= names
    assert {"README.md", "CHANGELOG.md", "LICENSE"} <= names


def test_the_wheel_alone_does_the_main_job(built, sandbox, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    (wheel,) = built.glob("*.whl")
    pip = [str(tmp_path / "venv/bin/python"), "-m", "pip", "install", "--quiet", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)

    llm = [str(tmp_path / "venv/bin/llm"), "-m", "gemini-3.5-flash", "hello", "--usage"]
    done = subprocess.run(llm, capture_output=True, text=True, check=False, env=os.environ)

    assert done.stdout == ('This is the EvoLink sandbox, not gemini-3.5-flash. You said: "hello"\n')
    assert done.stderr.startswith("Token usage: 2 input, 17 output, ")
    without_extra = subprocess.run(
        [llm[0], "evolink", "sandbox"], capture_output=True, text=True, check=False
    )
    assert without_extra.stderr.startswith(
        "Error: the sandbox needs packages that are not installed; add them with: "
        "llm install 'llm-evolink[sandbox] @ "
    )


def test_the_module_for_daft_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "daft", None)
    monkeypatch.delitem(sys.modules, "llm_evolink.daft", raising=False)

    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module("llm_evolink.daft")

    assert str(raised.value) == ("llm_evolink.daft needs an extra: llm install 'llm-evolink[daft]'")
