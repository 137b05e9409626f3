"""The command that adds an extra, by how llm and the plugin were installed."""

import importlib.metadata
import json
import sys

import pytest

from llm_evolink import extra

RECEIPT = """
[tool]
requirements = [
    { name = "llm" },
    { name = "llm-gemini", specifier = ">=0.35" },
    { name = "llm-own", editable = "/src/own plugin" },
    { name = "llm-evolink", directory = "/src/llm-evolink" },
]
"""


class Distribution:
    """Fake of the installed distribution: only its direct_url.json is read."""

    def __init__(self, source):
        self.source = source

    def read_text(self, name):
        assert name == "direct_url.json"
        return None if self.source is None else json.dumps(self.source)


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Pretend that llm is installed in an environment called llm, with this file in it."""

    def install(marker="", content="", source=None):
        environment = tmp_path / "llm"
        environment.mkdir()
        if marker:
            (environment / marker).write_text(content)
        monkeypatch.setattr(sys, "prefix", str(environment))
        monkeypatch.setattr(extra, "distribution", lambda name: Distribution(source))

    return install


@pytest.mark.parametrize(
    ("marker", "content", "command"),
    [
        ("", "", "llm install 'llm-evolink[sandbox]'"),
        ("pipx_metadata.json", "{}", "pipx inject --force llm 'llm-evolink[sandbox]'"),
        ("uv-receipt.toml", "broken", "uv tool install llm --with 'llm-evolink[sandbox]'"),
        (
            "uv-receipt.toml",
            RECEIPT,
            "uv tool install llm --with 'llm-gemini>=0.35' --with '/src/own plugin' "
            "--with 'llm-evolink[sandbox]'",
        ),
    ],
)
def test_the_command_is_for_the_tool_that_installed_llm(installed, marker, content, command):
    installed(marker, content)
    assert extra.install_command("sandbox") == command


@pytest.mark.parametrize(
    ("source", "requirement"),
    [
        ({"url": "file:///src/a b", "dir_info": {"editable": True}}, "'/src/a b[sandbox]'"),
        (
            {"url": "https://example.com/a.git", "vcs_info": {"vcs": "git", "commit_id": "1"}},
            "'llm-evolink[sandbox] @ git+https://example.com/a.git'",
        ),
        (
            {"url": "https://example.com/a.whl", "archive_info": {}},
            "'llm-evolink[sandbox] @ https://example.com/a.whl'",
        ),
    ],
)
def test_the_command_names_the_source_of_the_plugin(installed, source, requirement):
    installed(source=source)
    assert extra.install_command("sandbox") == f"llm install {requirement}"


def test_the_plugin_is_named_when_its_metadata_is_missing(installed, monkeypatch):
    installed()

    def distribution(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(extra, "distribution", distribution)
    assert extra.install_command("sandbox") == "llm install 'llm-evolink[sandbox]'"
