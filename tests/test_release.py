"""What a release needs: version, release notes, and a CI matrix that matches the classifiers."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with no more than scripts/publish reads before it builds."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/publish", tmp_path / "scripts")
    (tmp_path / "pyproject.toml").write_text('version = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("## 1.2.3 (unreleased)\n## 1.2.2 (2026-01-31)\n")
    return tmp_path


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        ("v1.2.2", "the tag is v1.2.2, and the version in pyproject.toml is 1.2.3"),
        ("1.2.3", "the tag is 1.2.3, and the version in pyproject.toml is 1.2.3"),
        ("v1.2.3", "CHANGELOG.md has no heading '## 1.2.3 (DATE)', such as (2026-11-30)"),
    ],
)
def test_publish_refuses_a_wrong_tag_and_missing_release_notes(checkout, tag, error):
    done = subprocess.run(
        [checkout / "scripts/publish", tag], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: {error}\n")
    assert not (checkout / "dist").exists()


@pytest.mark.parametrize("arguments", [[], ["v1.2.3", "v1.2.4"]], ids=["none", "two"])
def test_publish_needs_one_tag(checkout, arguments):
    done = subprocess.run(
        [checkout / "scripts/publish", *arguments], capture_output=True, text=True, check=False
    )

    error = "Error: give the tag of the release, such as v0.2.0\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", error)


def test_ci_reads_the_python_versions_from_the_classifiers():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    (program,) = re.findall(r"<<'PYTHON'\n(.*?)\n +PYTHON\n", workflow, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    name, _, value = done.stdout.partition("=")
    assert (name, json.loads(value)) == ("pythons", ["3.11", "3.12", "3.13", "3.14"])


def test_the_changelog_describes_the_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.search(rf"^## {re.escape(PROJECT['version'])} \(", changelog, re.MULTILINE)
