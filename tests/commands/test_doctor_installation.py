"""Doctor's checks of settings, models, the log and the generated client."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llm
import pytest
from llm.plugins import pm

import generated_client
from llm_evolink.commands.doctor import database as database_check
from llm_evolink.commands.doctor import installation
from llm_evolink.connection import settings
from tests import llm_process
from tests.scripted_server import UNREACHABLE, replying, serving

pytestmark = pytest.mark.usefixtures("doctor_environment")


def test_no_setting(monkeypatch, findings):
    monkeypatch.delenv("EVOLINK_BASE_URL")
    monkeypatch.setattr(settings, "SERVERS", (UNREACHABLE,))

    assert findings("settings") == [("ok", "the defaults")]


def test_each_invalid_setting_is_named(monkeypatch, findings):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://evolink.example")
    monkeypatch.setenv("EVOLINK_TIMEOUT", "soon")
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "-1")

    assert findings("settings") == [
        (
            "broken",
            "EVOLINK_BASE_URL would send the key unencrypted to evolink.example: use https://, or "
            "set EVOLINK_ALLOW_HTTP=1; change it, or unset it. "
            "EVOLINK_TIMEOUT is not a number from 0.001 to 86400: 'soon'; change it, or unset it. "
            "EVOLINK_MAX_RETRIES is not a whole number from 0 to 100: '-1'; change it, or unset it",
        )
    ]
    assert findings("server") == [("note", "not checked: EVOLINK_BASE_URL names no usable server")]
    assert findings("authentication") == [("note", "not checked: no server was reached")]
    assert findings("proxy") == [("ok", "none")]


def test_the_servers_are_checked_whatever_the_timeout_is(monkeypatch, findings):
    monkeypatch.setenv("EVOLINK_TIMEOUT", "soon")
    refused = {"error": {"message": "messages is too short"}}
    with serving(monkeypatch, replying(400, refused)) as server:
        assert findings("authentication") == [("ok", f"{server.url} accepts the key")]


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("EVOLINK_MAX_RETIRES", " (did you mean EVOLINK_MAX_RETRIES?)"),
        ("EVOLINK_KEY", " (did you mean EVOLINK_API_KEY?)"),
        ("EVOLINK_BASEURL", " (did you mean EVOLINK_BASE_URL?)"),
        ("EVOLINK_COLOUR", " and has no effect"),
    ],
)
def test_an_unknown_variable_is_a_note(monkeypatch, name, note, findings):
    monkeypatch.setenv(name, "secret")

    assert findings("settings") == [("note", f"{name} is not a setting{note}")]


def test_two_unknown_variables_are_two_sentences(monkeypatch, findings):
    for name in ("EVOLINK_COLOUR", "EVOLINK_BASEURL"):
        monkeypatch.setenv(name, "secret")

    assert findings("settings") == [
        (
            "note",
            "EVOLINK_BASEURL is not a setting (did you mean EVOLINK_BASE_URL?). "
            "EVOLINK_COLOUR is not a setting and has no effect",
        )
    ]


def test_every_variable_of_the_plugin_is_known():
    package = Path(installation.__file__).parents[2]
    named = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"\bEVOLINK_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }

    assert named == set(installation.VARIABLES)


def test_added_and_removed_models(monkeypatch, findings, store):
    monkeypatch.setattr(generated_client, "FORMER_MODELS", ("gemini-1",))
    store("evolink-models.json", '{"gpt-9": {}, "old": {"removed": true}}')

    # Other plugins are loaded in this process.
    assert findings("model")[len(generated_client.MODELS) :] == [
        ("note", "evolink/gpt-9 was added by you; EvoLink's document does not describe it"),
    ]


def test_an_invalid_file_of_added_models(user_path, findings, store):
    store("evolink-models.json", "[]")

    *_, (status, message) = findings("model")

    assert status == "broken"
    assert message.startswith(f"{user_path}/evolink-models.json is not like ")


class Rival(llm.Model):
    model_id = "rival"

    def execute(self, *arguments: Any) -> Any:
        raise NotImplementedError


def test_a_plugin_that_takes_the_name_of_the_model(findings):
    class Plugin:
        __name__ = "rival"

        # Of two plugins that are trylast, llm uses the one registered last.
        @staticmethod
        @llm.hookimpl(trylast=True)
        def register_models(register: Callable[..., None]) -> None:
            register(Rival(), aliases=("gemini-3.5-flash",))

    plugin = Plugin()
    llm.get_models()
    pm.register(plugin)
    try:
        taken = isinstance(llm.get_model("gemini-3.5-flash"), Rival)
        found = dict(zip(generated_client.MODELS, findings("model"), strict=True))
    finally:
        pm.unregister(plugin)

    assert taken
    assert found["gemini-3.5-flash"] == (
        "broken",
        "gemini-3.5-flash is rival of tests: use -m evolink/gemini-3.5-flash, or: "
        "llm uninstall tests",
    )


@pytest.mark.parametrize(("content", "problem"), [("{", "JSON ("), ("[]", "a JSON object:")])
def test_aliases_that_cannot_be_read(user_path, findings, store, content, problem):
    store("aliases.json", content)

    ((status, message),) = findings("model")

    assert status == "broken"
    assert message.startswith(f"{user_path}/aliases.json is not {problem}")


def database(user_path: Path) -> Path:
    user_path.mkdir(exist_ok=True)
    path = user_path / "logs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table turns (id text)")
    connection.close()
    return path


def test_a_locked_database(user_path, monkeypatch, findings):
    monkeypatch.setattr(database_check, "LOCK_TIMEOUT", 0.1)
    path = database(user_path)
    other = sqlite3.connect(path)
    other.execute("begin immediate")

    assert findings("database") == [
        ("broken", f"{path} is locked by another process: wait for it, or end it")
    ]
    other.close()
    assert findings("database") == [("ok", str(path))]


@pytest.mark.parametrize("logging", ["on", "off"])
def test_a_file_that_is_not_a_database(user_path, logging, findings, store):
    store("logs.db", "x" * 4096)
    if logging == "off":
        store("logs-off", "")

    assert findings("database") == [
        (
            "broken" if logging == "on" else "note",
            f"{user_path}/logs.db cannot be written to (file is not a database): move it "
            "away, and llm creates a new one",
        )
    ]


@pytest.fixture
def unprivileged() -> list[str]:
    """Words before a command that make it obey file permissions, even as root."""
    if os.geteuid():
        return []
    if setpriv := shutil.which("setpriv"):
        return [setpriv, "--bounding-set=-all", "--inh-caps=-all"]
    pytest.skip("root may write everywhere, and setpriv is not installed")


@pytest.mark.parametrize("name", ["", "logs.db"], ids=["folder", "file"])
def test_a_read_only_folder_or_database(user_path, sandbox, unprivileged, name):
    database(user_path)
    path = user_path / name
    path.chmod(0o500)
    done = subprocess.run(
        [*unprivileged, llm_process.LLM, "evolink", "doctor"],
        capture_output=True,
        text=True,
        check=False,
    )

    line = (
        f"broken  database          {path} cannot be written to: change its permissions, or "
        "name another folder in LLM_USER_PATH\n"
    )
    assert line in done.stdout
    assert (done.stderr, done.returncode) == ("", 1)


def test_a_full_disk(user_path, sandbox):
    """The folder is a file system of its own with less room than a log needs."""
    user_path.mkdir()
    mounted = f"mount -t tmpfs -o size=256k none {user_path} && exec {llm_process.LLM}"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    possible = (
        shutil.which("unshare")
        and not subprocess.run(
            [*command, f"mount -t tmpfs -o size=256k none {user_path}"], capture_output=True
        ).returncode
    )
    if not possible:
        pytest.skip("no file system can be mounted")

    done = subprocess.run(
        [*command, f"{mounted} evolink doctor"], capture_output=True, text=True, check=False
    )

    assert (
        f"broken  database          {user_path} has no room for 1 MB (No space left on device): "
        "free some space\n"
    ) in done.stdout
    assert (done.stderr, done.returncode) == ("", 1)
    assert list(user_path.iterdir()) == []


DOCUMENT = json.loads((Path(generated_client.__file__).parent / "openapi.json").read_text())
SERVERS = [server["url"] for server in DOCUMENT["servers"]]


def changed(**properties: Any) -> dict[str, Any]:
    """Return the document with other servers, or other parameters."""
    document = json.loads(json.dumps(DOCUMENT))
    schema = document["components"]["schemas"]["ChatCompletionQuickRequest"]
    schema["properties"] = properties.get("parameters", schema["properties"])
    document["servers"] = properties.get("servers", document["servers"])
    return document


PARAMETERS = DOCUMENT["components"]["schemas"]["ChatCompletionQuickRequest"]["properties"]
DOCUMENTS = [
    (json.dumps(changed(servers=[{"url": "https://new.example"}])),
     ", ".join(sorted([*SERVERS, "https://new.example"]))),
    (json.dumps(changed(parameters={**PARAMETERS, "new_field": {}})), "new_field"),
    (json.dumps(changed(parameters={k: v for k, v in PARAMETERS.items() if k != "n"})), "n"),
    (json.dumps({"servers": []}), "it cannot be read, KeyError('components')"),
    ("", "it cannot be read, JSONDecodeError('Expecting value: line 1 column 1 (char 0)')"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("document", "differing"), DOCUMENTS, ids=["servers", "more", "fewer", "other", "empty"]
)
def test_a_client_of_another_document(monkeypatch, tmp_path, document, differing, findings):
    (tmp_path / "openapi.json").write_text(document)
    monkeypatch.setattr(installation, "files", lambda package: tmp_path)

    assert findings("generated client") == [
        (
            "broken",
            f"generated_client does not match its openapi.json ({differing}): install llm-evolink "
            "again, or run scripts/regenerate in a clone",
        )
    ]
