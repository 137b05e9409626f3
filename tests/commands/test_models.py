"""`llm evolink models`: a user's own models, registered with llm."""

import json

import llm
import pytest
from click.testing import CliRunner
from llm.cli import cli

import generated_client
from tests.four_ways import KEY
from tests.scripted_server import STREAM_EVENTS, UNREACHABLE, replying, serving

# The tests have a document of their own that describes one model.
DOCUMENTED = "gemini-3.5-flash  described by EvoLink's document; images, tools, schemas\n"


@pytest.fixture(autouse=True)
def _environment(environment, user_path, monkeypatch):
    user_path.mkdir()
    monkeypatch.setattr(generated_client, "MODELS", ("gemini-3.5-flash",))
    monkeypatch.setattr(generated_client, "FORMER_MODELS", ())


def run(*arguments, code=0):
    """Run `llm` in this process; return its standard output, or standard error if code is not 0."""
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == code, done.output
    return done.stderr if code else done.stdout


def models(*arguments, **expected):
    return run("evolink", "models", *arguments, **expected)


def test_add_remove_and_forget(user_path):
    assert models() == DOCUMENTED
    assert models("add", "gpt-9", "--no-images", "--no-tools", "--no-schema") == (
        "Added: llm -m evolink/gpt-9\n"
    )
    assert models("add", "evolink/auto", "--no-tools") == "Added: llm -m evolink/auto\n"
    assert models() == (
        DOCUMENTED + "evolink/gpt-9     added by you; text only\n"
        "evolink/auto      added by you; images, schemas\n"
    )
    assert json.loads(models("--json"))[1] == {
        "name": "evolink/gpt-9",
        "aliases": [],
        "source": "added by you",
        "images": False,
        "tools": False,
        "schemas": False,
    }
    models("add", "gpt-9")
    assert "evolink/gpt-9     added by you; images, tools, schemas\n" in models()

    assert models("remove", "evolink/gpt-9") == "Removed: evolink/gpt-9\n"
    assert "gpt-9" not in models()
    assert str(llm.get_model("evolink/gpt-9")) == "EvoLink: evolink/gpt-9 (removed)"
    models("add", "gpt-9")
    assert "gpt-9" in models()

    assert models("forget", "gpt-9") == "Forgotten: evolink/gpt-9\n"
    with pytest.raises(llm.UnknownModelError):
        llm.get_model("evolink/gpt-9")
    assert json.loads((user_path / "evolink-models.json").read_text()) == {
        "evolink/auto": {"tools": False}
    }
    assert [path.name for path in user_path.glob("evolink*")] == ["evolink-models.json"]


NAME_RULE = "it is empty or has a space or control character"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["add", name],
            "gemini-3.5-flash is described by EvoLink's document and needs no adding",
        )
        for name in ("gemini-3.5-flash", "evolink/gemini-3.5-flash")
    ]
    + [
        (["add", ""], "'' is not the name of a model: " + NAME_RULE),
        (["add", "evolink/"], "'evolink/' is not the name of a model: " + NAME_RULE),
        (["add", "two words"], "'two words' is not the name of a model: " + NAME_RULE),
        (["add", "a\x1b[31m"], "'a\\x1b[31m' is not the name of a model: " + NAME_RULE),
        (["remove", "gpt-9"], "'gpt-9' is not an added model; see: llm evolink models"),
        (
            ["forget", "gemini-3.5-flash"],
            "'gemini-3.5-flash' is not an added model; see: llm evolink models",
        ),
    ],
)
def test_invalid_names_are_refused(user_path, arguments, error):
    assert models(*arguments, code=1) == f"Error: {error}\n"
    assert not (user_path / "evolink-models.json").exists()


@pytest.mark.parametrize(
    ("first", "second"), [("gpt-9", "evolink/gpt-9"), ("evolink/gpt-9", "gpt-9")]
)
def test_a_name_in_llm_that_another_model_has(user_path, first, second):
    models("add", first, "--no-tools")

    assert models("add", second, code=1) == (
        f"Error: evolink/gpt-9 is already the name of your model {first}; to use it for {second}, "
        f"first run: llm evolink models forget {first}\n"
    )
    path = user_path / "evolink-models.json"
    assert json.loads(path.read_text()) == {first: {"tools": False}}

    # A file that holds both all the same.
    path.write_text(json.dumps({first: {}, second: {}}))
    models("forget", second)
    assert json.loads(path.read_text()) == {first: {}}


def test_the_columns_of_the_list_are_aligned():
    models("add", "モデル")
    models("add", "gpt-9")

    assert models() == (
        DOCUMENTED + "evolink/モデル    added by you; images, tools, schemas\n"
        "evolink/gpt-9     added by you; images, tools, schemas\n"
    )


def test_a_prompt_to_an_added_model(monkeypatch, way):
    models("add", "gpt-9")

    def answer(reply):
        if way.stream:
            reply.events(*STREAM_EVENTS)
        else:
            message = {"message": {"content": "hi"}, "finish_reason": "stop"}
            reply.respond(200, {"choices": [message]})

    with serving(monkeypatch, answer) as server:
        # Outside the document's bounds, which an added model does not have.
        options = ["-o", "temperature", "7", "-o", "reasoning_effort", "most"]
        assert run("-m", "evolink/gpt-9", "hello", *options, *way.flags) == "hi\n"

    sent = server.requests[0].json()
    assert (sent["model"], sent["temperature"], sent["reasoning_effort"]) == ("gpt-9", 7, "most")


def test_a_name_that_begins_with_evolink_is_sent_as_it_is(monkeypatch):
    models("add", "evolink/auto")

    with serving(monkeypatch, lambda reply: reply.events(*STREAM_EVENTS)) as server:
        run("-m", "evolink/auto", "hello")

    assert server.requests[0].json()["model"] == "evolink/auto"


def test_a_prompt_to_a_removed_model():
    models("add", "gpt-9")
    models("remove", "gpt-9")

    assert run("-m", "evolink/gpt-9", "hello", code=1) == (
        "Error: evolink/gpt-9 was removed; add it again with: llm evolink models add gpt-9\n"
    )


def test_a_model_that_left_the_document(monkeypatch):
    monkeypatch.setattr(generated_client, "FORMER_MODELS", ("gemini-1",))

    assert models() == DOCUMENTED
    for name in ("gemini-1", "evolink/gemini-1"):
        assert str(llm.get_model(name)) == "EvoLink: gemini-1 (removed)"
        assert run("-m", name, "hello", code=1) == (
            "Error: gemini-1 is no longer in EvoLink's document; to use it all the same, add it "
            "with: llm evolink models add gemini-1\n"
        )
    assert models("add", "gemini-1") == "Added: llm -m evolink/gemini-1\n"
    with serving(monkeypatch, lambda reply: reply.events(*STREAM_EVENTS)) as server:
        assert run("-m", "evolink/gemini-1", "hello") == "hi\n"
    assert server.requests[0].json()["model"] == "gemini-1"


@pytest.mark.parametrize("name", ["gemini-1", "evolink/gemini-1"])
def test_a_model_that_left_the_document_is_forgotten(user_path, monkeypatch, name):
    monkeypatch.setattr(generated_client, "FORMER_MODELS", ("gemini-0", "gemini-1"))
    models("add", "gemini-1")
    models("add", "gpt-9")

    assert models("forget", name) == "Forgotten: gemini-1\n"
    for forgotten in ("gemini-1", "evolink/gemini-1"):
        with pytest.raises(llm.UnknownModelError):
            llm.get_model(forgotten)
    assert str(llm.get_model("gemini-0")) == "EvoLink: gemini-0 (removed)"
    assert "gemini-1" not in models()
    assert json.loads((user_path / "evolink-models.json").read_text()) == {
        "gemini-1": {"forgotten": True},
        "gpt-9": {},
    }
    for command in ("forget", "remove"):
        assert models(command, name, code=1) == (
            f"Error: {name!r} is not an added model; see: llm evolink models\n"
        )

    # It can be added again, and the document may describe it again.
    models("add", "gemini-1")
    assert str(llm.get_model("evolink/gemini-1")) == "EvoLink: evolink/gemini-1"
    models("forget", "gemini-1")
    monkeypatch.setattr(generated_client, "FORMER_MODELS", ())
    monkeypatch.setattr(generated_client, "MODELS", (*generated_client.MODELS, "gemini-1"))
    assert str(llm.get_model("evolink/gemini-1")) == "EvoLink: gemini-1"


def test_abilities_that_an_added_model_lacks(tmp_path):
    models("add", "gpt-9", "--no-images", "--no-tools", "--no-schema")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 8)

    assert run("-m", "evolink/gpt-9", "hello", "-a", str(tmp_path / "a.png"), code=1) == (
        "Error: evolink/gpt-9 was added with --no-images: it takes no attachments\n"
    )
    assert "does not support tools" in run("-m", "evolink/gpt-9", "-T", "llm_time", "hi", code=1)
    assert "does not support schemas" in run(
        "-m", "evolink/gpt-9", "--schema", "name, age int", "hi", code=1
    )


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": {"images": 1}}', '{"a": {"b": 1}}'])
def test_an_invalid_file_of_models(user_path, text):
    path = user_path / "evolink-models.json"
    path.write_text(text)

    (error,) = models("add", "gpt-9", code=1).splitlines()

    assert error.startswith(f"Error: {path} is not ")
    assert error.endswith(": correct it or remove it")
    assert path.read_text() == text
    # The document's models are registered nevertheless.
    assert llm.get_model("gemini-3.5-flash")


def test_the_models_of_a_server(monkeypatch):
    models("add", "gpt-9")
    body = {"data": [{"id": "gemini-3.5-flash"}, {"id": "gpt-9"}, {"id": "new\x1b[31m"}]}

    with serving(monkeypatch, replying(200, body)) as server:
        shown = models("--server")

    assert shown == (
        "gemini-3.5-flash  registered as gemini-3.5-flash\n"
        "gpt-9             registered as evolink/gpt-9\n"
        "new [31m          add it with: llm evolink models add new [31m\n"
    )
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"


NO_LIST = "The server's answer to GET /v1/models is not a list of models"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, {"error": {"message": "No such page"}}, "No such page"),
        (401, {"error": {"message": f"Bad key {KEY}"}}, "Bad key …cdef"),
        (504, {"error": {"message": "Gateway"}}, "Gateway; try again later"),  # Never billed.
        (200, "<html>Hotel</html>", NO_LIST),
        (200, {"data": {}}, NO_LIST),
        (200, {"data": [1]}, NO_LIST),
    ],
)
def test_a_server_that_lists_no_models(monkeypatch, status, body, error):
    with serving(monkeypatch, replying(status, body)):
        (line,) = models("--server", code=1).splitlines()

    assert line.startswith(f"Error: {error}")
    assert KEY not in line


def test_an_unreachable_server(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)

    assert models("--server", code=1).startswith("Error: Cannot reach 127.0.0.1:1")


def test_options_of_the_list_are_refused_with_a_command():
    assert "give them without a command" in models("--json", "add", "gpt-9", code=2)


def test_a_list_that_cannot_be_written_is_one_line(user_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    path = user_path / "evolink-models.json"
    monkeypatch.setattr("llm_evolink.chat.added_models.write_added_models", fail)
    assert models("add", "other", code=1) == (
        f"Error: {path} cannot be written: No space left on device\n"
    )


def test_a_list_that_cannot_be_opened_is_a_warning(user_path):
    path = user_path / "evolink-models.json"
    path.mkdir()

    done = CliRunner().invoke(cli, ["models", "-q", "evolink"])

    problem = (
        f"{path} cannot be used (Is a directory): change its permissions, move it away, or name "
        "another folder in LLM_USER_PATH\n"
    )
    assert (done.exit_code, done.stderr) == (
        0,
        f"Warning: no added model of EvoLink is registered: {problem}",
    )
    assert models("remove", "other", code=1) == f"Error: {problem}"
    assert done.stdout.startswith("EvoLink: gemini-3.5-flash ")


def test_an_unknown_command_is_named():
    assert run("evolink", "modles", code=2).endswith("Error: No such command 'modles'.\n")


def test_the_file_is_found_in_llms_default_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("LLM_USER_PATH")
    for name in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    models("add", "gpt-9")

    assert (llm.user_dir() / "evolink-models.json").exists()
    assert tmp_path in llm.user_dir().parents
    assert llm.get_model("evolink/gpt-9").api_name == "gpt-9"
