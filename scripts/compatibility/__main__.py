"""scripts/compat: run each program's three tasks, print a table, exit with 1 if a task fails."""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import CompletedProcess, call

from .servers import COMPAT, LLM, MODEL, ROOT, execute, litellm_proxy, prism, sandbox

TASKS = ("tools", "stream", "schema")
HEADINGS = ("program", "tool chain", "stream", "schema")
PYTHON_CLIENTS = ("openai", "langchain", "pydantic-ai", "litellm", "haystack")
PROGRAMS = (*PYTHON_CLIENTS, "npm-openai", "litellm-proxy", "prism")

ECHO = "This is the EvoLink sandbox, not gemini-3.5-flash."
ANSWERS = {"tools": f"{ECHO} The tool add returned: 11", "stream": f'{ECHO} You said: "hello"'}
"""The start of the expected answers of the sandbox: that of `tools` comes after two rounds."""

EXAMPLE = json.loads((ROOT / "generated_client" / "openapi.json").read_text(encoding="utf-8"))[
    "paths"
]["/v1/chat/completions"]["post"]["responses"]["200"]["content"]["application/json"]["example"]

FUNCTIONS = "def add(a: int, b: int) -> int:\n    return a + b\n"
PROMPTS = {
    "tools": [
        'add {"a": 1, "b": 2} and add {"a": 3, "b": 4} then add {"a": 5, "b": 6}',
        *("--functions", FUNCTIONS),
    ],
    "stream": ["hello"],
    "schema": ["hello", "--schema", "name, age int"],
}
"""Arguments of `llm` for each task."""

Run = Callable[[str], CompletedProcess[str]]
"""Runs the task of this name and returns the finished process, which has printed the result."""


def main(argv: list[str]) -> int:
    """Install all programs, run those that are named, or all, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="scripts/compat",
        description="Run other OpenAI clients and servers against the sandbox and the plugin. They "
        "are installed into .venv/compat, from PyPI and npm (about 1 GB). Needs node 20 and npm.",
        epilog=f"Names: {', '.join(PROGRAMS)}",
    )
    parser.add_argument(
        "names", nargs="*", choices=PROGRAMS, metavar="NAME", help="run this program (default: all)"
    )
    names = parser.parse_args(argv).names
    if code := call([ROOT / "scripts" / "compatibility" / "install"]):
        return code
    failed = False
    with tempfile.TemporaryDirectory() as folder, sandbox(Path(folder)) as url:
        print(_row(HEADINGS))
        for name in names or PROGRAMS:
            cells = _cells(name, url, Path(folder))
            failed |= cells != ["ok"] * len(TASKS)
            print(_row([name, *cells]), flush=True)
    return int(failed)


def _row(cells: list[str] | tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(14) for cell in cells).rstrip()


def _cells(name: str, sandbox_url: str, folder: Path) -> list[str]:
    """Return for each task "ok", or why it failed."""
    problem = _example_problem if name == "prism" else _problem
    try:
        with _program(name, sandbox_url, folder) as run:
            return [problem(task, run(task)) or "ok" for task in TASKS]
    except OSError as error:  # Not installed, did not start, or ran into the time limit.
        return [str(error)] * len(TASKS)


def _program(name: str, sandbox_url: str, folder: Path) -> AbstractContextManager[Run]:
    if name == "prism":
        return _llm_with(prism(folder), folder)
    if name == "litellm-proxy":
        return _llm_with(litellm_proxy(sandbox_url, folder), folder)
    scripts = ROOT / "scripts" / "compatibility"
    if name == "npm-openai":
        return _client(["node", str(scripts / "client.mjs")], sandbox_url)
    return _client([str(COMPAT / "bin" / "python"), str(scripts / "clients.py"), name], sandbox_url)


@contextmanager
def _client(command: list[str], sandbox_url: str) -> Iterator[Run]:
    yield lambda task: execute([*command, task, f"{sandbox_url}/v1"])


@contextmanager
def _llm_with(server: AbstractContextManager[tuple[str, str]], folder: Path) -> Iterator[Run]:
    """Run `llm` with the plugin against the server, which yields its URL and a key for it."""
    with server as (url, key):
        variables = {
            "EVOLINK_BASE_URL": url,
            "EVOLINK_API_KEY": key,
            "EVOLINK_MAX_RETRIES": "0",
            "LLM_USER_PATH": str(folder / "llm"),
        }
        yield lambda task: execute([LLM, "-m", MODEL, *PROMPTS[task]], **variables)


def _problem(task: str, done: CompletedProcess[str]) -> str:
    """Return what is wrong with the result of a task; "" for nothing."""
    output = done.stdout.strip()
    if done.returncode:
        return _failure(done)
    if task in ANSWERS:
        return "" if output.startswith(ANSWERS[task]) else f"unexpected result: {output[:200]}"
    try:
        return "" if json.loads(output).keys() == {"name", "age"} else f"not the schema: {output}"
    except (ValueError, AttributeError):
        return f"not a JSON object: {output[:200]}"


def _example_problem(task: str, done: CompletedProcess[str]) -> str:
    """Return what is wrong with an answer of Prism, the document's example whatever is asked."""
    expected = EXAMPLE["choices"][0]["message"]["content"]
    if done.returncode:
        return _failure(done)
    return "" if done.stdout.strip() == expected else f"unexpected result: {done.stdout[:200]}"


def _failure(done: CompletedProcess[str]) -> str:
    last = (done.stderr.strip() or "no message").splitlines()[-1]
    return f"exit code {done.returncode}: {last}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
