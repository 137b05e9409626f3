"""`llm evolink …` where llm's folder or standard output cannot be used."""

import os
import subprocess

import pytest

from tests import llm_process

ALL = pytest.mark.parametrize(
    "arguments",
    [
        ["models"],
        ["models", "--server"],
        ["models", "add", "gpt-9"],
        ["models", "remove", "gpt-9"],
        ["models", "forget", "gpt-9"],
        ["usage"],
        ["usage", "-d", "none.db"],
        ["count", "hi"],
        ["count", "hi", "-f", "none"],
        ["batch", "rows.csv", "hi"],
        ["sandbox", "--backend", "none"],
    ],
    ids=" ".join,
)


@ALL
def test_a_file_in_place_of_llms_folder(llm_in_process, user_path, monkeypatch, arguments):
    user_path.write_text("")
    monkeypatch.delenv("EVOLINK_API_KEY")

    done = llm_in_process("evolink", *arguments)

    assert done.stdout == ""
    assert done.stderr.removesuffix("; check with: llm evolink doctor\n").rstrip() == (
        f"Error: {user_path} cannot be used (File exists): change its permissions, move it away, "
        "or name another folder in LLM_USER_PATH"
    )
    assert done.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [["models"], ["usage"], ["count", "hi"], ["batch", "-", "hi"], ["sandbox", "--backend", "m"]],
    ids=" ".join,
)
def test_aliases_that_are_not_json(llm_in_process, user_path, arguments):
    user_path.mkdir()
    (user_path / "aliases.json").write_text("{")

    done = llm_in_process("evolink", *arguments)

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == (
        f"Error: {user_path}/aliases.json is not JSON (Expecting property name enclosed in double "
        "quotes: line 1 column 2 (char 1)): correct it or remove it\n"
    )


FULL_DISK = "Error: Standard output cannot be written: No space left on device\n"


def run_on_a_full_disk(full_disk, *arguments):
    """Return what the command prints on standard error, and its exit code."""
    with (
        open(full_disk, "w") as file,
        llm_process.start("evolink", *arguments, stdout=file) as process,
    ):
        error = process.stderr.read()
    return error, process.returncode


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "add", "gpt-9"],
        ["usage", "--help"],
        ["count", "hi"],
        ["doctor"],
        ["sandbox", "--port", "0"],
    ],
    ids=" ".join,
)
def test_a_full_disk(environment, full_disk, arguments):
    assert run_on_a_full_disk(full_disk, *arguments) == (FULL_DISK, 1)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_with_and_without_a_buffer(environment, full_disk, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)

    assert run_on_a_full_disk(full_disk, "models") == (FULL_DISK, 1)


def test_a_closed_pipe_is_no_error(environment):
    reader, writer = os.pipe()
    os.close(reader)
    with llm_process.start("evolink", "models", stdout=writer) as process:
        os.close(writer)
        error = process.stderr.read()

    assert (error, process.returncode) == ("", 1)


def test_characters_that_standard_output_cannot_encode_are_escaped(environment, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    command = [llm_process.LLM, "evolink", "models"]

    done = subprocess.run([*command, "add", "é☃"], capture_output=True)
    assert (done.stdout, done.stderr) == (b"Added: llm -m evolink/\xe9\\u2603\n", b"")
    listed = subprocess.run(command, capture_output=True)
    assert b"\nevolink/\xe9\\u2603 " in listed.stdout
    assert (listed.stderr, listed.returncode) == (b"", 0)
