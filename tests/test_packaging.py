"""The wheel and the sdist, as someone else installs them."""

import importlib
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from llm_evolink.extra import install_command

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


def dependencies(name: str) -> Iterator[Distribution]:
    """Yield the distributions that one without extras needs, each with those it needs itself."""
    found = set()
    names = [name]
    while names:
        each = distribution(names.pop())
        for requirement in map(Requirement, each.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed = distribution(requirement.name)
                if needed.name not in found:
                    found.add(needed.name)
                    names.append(needed.name)
                    yield needed


@pytest.fixture
def installed(built, tmp_path) -> Path:
    """A virtual environment with the wheel and its dependencies, and no other package."""
    venv.create(tmp_path / "venv")
    (site_packages,) = (tmp_path / "venv/lib").glob("python3*/site-packages")
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site_packages)
    for each in dependencies("llm-evolink"):
        for name in {Path(file).parts[0] for file in each.files or ()} - {".."}:
            target = Path(str(each.locate_file(name)))
            if target.exists() and not (site_packages / name).exists():
                (site_packages / name).symlink_to(target)
    return tmp_path / "venv"


def test_the_wheel_and_its_dependencies_suffice(installed, sandbox):
    def llm(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed / "bin/python"), "-m", "llm", *arguments]
        return subprocess.run(
            command, cwd=installed, capture_output=True, text=True, check=False, env=os.environ
        )

    done = llm("-m", "gemini-3.5-flash", "hello", "--usage")
    assert done.stdout == ('This is the EvoLink sandbox, not gemini-3.5-flash. You said: "hello"\n')
    assert done.stderr.startswith("Token usage: 2 input, 17 output, ")
    assert llm("evolink", "sandbox").stderr == (
        "Error: the sandbox needs packages that are not installed; "
        "add them with: llm install 'llm-evolink[sandbox]'\n"
    )
    assert "\n  sandbox  Run a local server " in llm("evolink", "--help").stdout


def test_the_module_for_daft_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "daft", None)
    monkeypatch.delitem(sys.modules, "llm_evolink.daft", raising=False)

    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module("llm_evolink.daft")

    assert str(raised.value) == f"llm_evolink.daft needs an extra: {install_command('daft')}"
