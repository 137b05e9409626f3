"""The scripts that a person runs: demo, with and without a key, from any folder; install."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import llm_process, scripted_server
from tests.four_ways import KEY
from tests.llm_process import TIMEOUT
from tests.scripted_server import REFUSED, UNREACHABLE

DEMO = Path(__file__).parents[1] / "scripts" / "demo"


@pytest.fixture
def no_key(environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment of someone new: an empty home, no key."""
    for name in ("EVOLINK_API_KEY", "EVOLINK_MAX_RETRIES", "LLM_USER_PATH"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def run_script(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [script, *arguments], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@pytest.fixture
def forked_demo(tmp_path: Path) -> Path:
    """The demo in a checkout whose `llm` is forked, and where there is nothing to install."""
    scripts, programs = tmp_path / "scripts", tmp_path / ".venv" / "bin"
    scripts.mkdir()
    programs.mkdir(parents=True)
    shutil.copy(DEMO, scripts)
    (scripts / "install").symlink_to(shutil.which("true"))
    llm_process.install(programs)
    return scripts / "demo"


def processes(text: str) -> list[Path]:
    """Return the running processes whose environment holds the text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if text.encode() in path.read_bytes():
                found.append(path)
    return found


def test_without_a_key_the_demo_asks_a_sandbox_and_shows_what_was_logged(
    no_key, forked_demo, tmp_path
):
    done = run_script(forked_demo, "What is a pelican?", cwd=tmp_path)

    first, _, asked, answer, _, logged, *row = done.stdout.splitlines()
    assert first.startswith("No key is set: asking the sandbox at http://127.0.0.1:")
    assert first.endswith(", which is not the model.")
    assert asked == "$ llm -m gemini-3.5-flash 'What is a pelican?'"
    assert answer == (
        'This is the EvoLink sandbox, not gemini-3.5-flash. You said: "What is a pelican?"'
    )
    assert logged == "What llm logged:"
    assert "  prompt: What is a pelican?" in row
    assert row[row.index("  usage:") :] == [
        "  usage:",
        "    input: 5",
        "    output: 21",
        "    details:",
        "      prompt_tokens_details:",
        "        text_tokens: 5",
        "      completion_tokens_details:",
        "        text_tokens: 21",
    ]
    assert (done.stderr, done.returncode) == ("", 0)
    assert list((tmp_path / "home").rglob("*.db")) == []


def test_the_demo_takes_a_prompt_of_several_arguments(no_key, forked_demo, tmp_path):
    done = run_script(forked_demo, "What", "is", "a", "pelican?", cwd=tmp_path)

    assert "\n$ llm -m gemini-3.5-flash 'What is a pelican?'\n" in done.stdout
    assert 'You said: "What is a pelican?"\n' in done.stdout


def test_the_help_of_the_demo(forked_demo, tmp_path):
    done = run_script(forked_demo, "--help", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        'Ask gemini-3.5-flash something: scripts/demo ["a prompt"]',
        "Over EvoLink when a key is set, else against a sandbox on this machine. Your logs stay "
        "untouched.",
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("demo", ["--bogus"], "there is no option --bogus; see: scripts/demo --help"),
        ("check", ["--bogus"], "scripts/check takes no arguments"),
        ("format", ["tests"], "scripts/format takes no arguments"),
    ],
)
def test_arguments_that_a_script_does_not_know(tmp_path, name, arguments, error):
    done = run_script(DEMO.with_name(name), *arguments, cwd=tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {error}\n")


def test_compat_reads_its_arguments_before_it_installs(tmp_path):
    script = DEMO.with_name("compat")

    done = run_script(script, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: scripts/compat [-h] [NAME ...]\n")

    done = run_script(script, "bogus", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    usage, error = done.stderr.splitlines()
    assert usage == "usage: scripts/compat [-h] [NAME ...]"
    assert error.startswith("scripts/compat: error: argument NAME: invalid choice: 'bogus' ")


def test_with_a_key_the_demo_asks_the_server_and_leaves_the_log_alone(
    no_key, forked_demo, tmp_path, monkeypatch, user_path
):
    def answer(reply: scripted_server.Reply) -> None:
        assert reply.request.headers["authorization"] == f"Bearer {KEY}"
        delta = {"index": 0, "delta": {"content": "Hello!"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2}
        reply.events({"choices": [delta]}, {"choices": [], "usage": usage}, "[DONE]")

    monkeypatch.setenv("LLM_USER_PATH", str(user_path))
    monkeypatch.setenv("EVOLINK_API_KEY", KEY)
    with scripted_server.serve(answer) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", server.url)
        done = run_script(forked_demo, cwd=tmp_path)

    assert done.stdout.startswith(f"A key is set: asking gemini-3.5-flash at {server.url}.\n")
    assert "\nHello!\n" in done.stdout
    assert "    input: 3\n    output: 2\n" in done.stdout
    assert (done.stderr, done.returncode) == ("", 0)
    assert not (user_path / "logs.db").exists()


def test_a_failure_is_one_line_and_exit_code_1(no_key, forked_demo, tmp_path, monkeypatch):
    monkeypatch.setenv("EVOLINK_API_KEY", KEY)
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)
    monkeypatch.setenv("EVOLINK_MAX_RETRIES", "0")

    done = run_script(forked_demo, cwd=tmp_path)

    assert done.stderr == (
        f"Error: Cannot reach 127.0.0.1:1: {REFUSED}; check with: llm evolink doctor\n"
    )
    assert done.returncode == 1


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_ctrl_c_stops_the_sandbox_too(no_key, tmp_path, monkeypatch):
    marker = str(tmp_path / "marked")
    os.mkdir(marker)
    monkeypatch.setenv("TMPDIR", marker)
    running = subprocess.Popen(
        [DEMO], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert running.stdout
    assert running.stdout.readline().startswith(b"No key is set")
    os.killpg(running.pid, signal.SIGINT)
    running.communicate(timeout=TIMEOUT)

    assert running.returncode != 0
    assert os.listdir(marker) == []
    while processes(marker):
        time.sleep(0.05)


def test_an_incomplete_environment_is_created_again(tmp_path, monkeypatch):
    """python3 is a script that creates an environment whose Python prints its arguments."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = tmp_path / ".venv" / "bin" / "python"
    made.parent.mkdir(parents=True)
    made.write_text("#!/bin/sh\nexit 1\n")  # It has no pip.
    made.chmod(0o755)
    python = tmp_path / "python3"
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -c ] && exit\nprintf \'#!/bin/sh\\necho "$@"\\n\' >{made}\n'
    )
    python.chmod(0o755)
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "scripts").mkdir()
    shutil.copy(DEMO.with_name("install"), tmp_path / "scripts")

    done = run_script(tmp_path / "scripts" / "install", "sandbox", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "-m pip install --quiet --disable-pip-version-check --editable .[sandbox]\n",
        "Making the environment .venv …\nInstalling llm-evolink[sandbox] into .venv …\n",
    )

    done = run_script(tmp_path / "scripts" / "install", "sandbox", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
