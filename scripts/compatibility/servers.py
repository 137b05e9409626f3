"""The servers that scripts/compat starts, each until its block ends, and the commands it runs."""

import json
import os
import re
import secrets
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMPAT = ROOT / ".venv" / "compat"
LLM = str(ROOT / ".venv" / "bin" / "llm")
MODEL = "gemini-3.5-flash"
TIMEOUT = 180
"""Seconds for a task to end, and for a server to start."""


class StartError(OSError):
    """Raised for a server that did not start."""


def execute(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command, with these environment variables. Raises OSError, also after TIMEOUT."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            cwd=ROOT,
            env=_environment(**variables),
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"took longer than {TIMEOUT} s") from None


@contextmanager
def sandbox(folder: Path) -> Iterator[str]:
    """Run the sandbox and yield its URL."""
    command = [LLM, "evolink", "sandbox", "--port", "0"]
    pattern = r"^export EVOLINK_BASE_URL=(\S+)"
    with _server(command, folder / "sandbox.log", pattern, LLM_USER_PATH=str(folder)) as url:
        yield url


@contextmanager
def litellm_proxy(sandbox_url: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Run LiteLLM's proxy in front of the sandbox; yield its URL and its key."""
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{sandbox_url}/v1", "api_key": "sandbox"}
    models = [{"model_name": MODEL, "litellm_params": parameters}]
    config = folder / "litellm.json"
    config.write_text(json.dumps({"model_list": models}), encoding="utf-8")
    key = f"sk-{secrets.token_hex(16)}"
    url = f"http://127.0.0.1:{_free_port()}"
    command = [str(COMPAT / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    command += ["--port", url.rpartition(":")[2]]
    pattern = r"(Uvicorn running on \S+)"
    with _server(command, folder / "litellm.log", pattern, LITELLM_MASTER_KEY=key):
        urllib.request.urlopen(f"{url}/health/liveliness", timeout=TIMEOUT)  # noqa: S310 - loopback
        yield url, key


@contextmanager
def prism(folder: Path) -> Iterator[tuple[str, str]]:
    """Run Prism as a mock of generated_client/openapi.json; yield its URL and a key."""
    program = COMPAT / "npm" / "node_modules" / ".bin" / "prism"
    document = ROOT / "generated_client" / "openapi.json"
    command = [str(program), "mock", str(document), "--port", str(_free_port())]
    with _server(command, folder / "prism.log", r"Prism is listening on (\S+)") as url:
        yield url.rstrip("/"), "any"


@contextmanager
def _server(command: list[str], log: Path, pattern: str, **variables: str) -> Iterator[str]:
    """Run the command until the block ends; yield what the pattern finds in its output.

    Raises StartError if it does not start within TIMEOUT.
    """
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=_environment(PYTHONUNBUFFERED="1", **variables),
        )
    try:
        yield _found(process, log, pattern)
    finally:
        process.terminate()
        process.wait()


def _found(process: subprocess.Popen[bytes], log: Path, pattern: str) -> str:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        ended = process.poll() is not None
        text = log.read_text(encoding="utf-8", errors="replace")
        if found := re.search(pattern, text, re.MULTILINE):
            return found[1]
        if ended:
            last = (text.strip() or "no message").splitlines()[-1]
            raise StartError(f"{log.stem} did not start: {last}")
        time.sleep(0.1)
    raise StartError(f"{log.stem} did not start within {TIMEOUT} s")


def _environment(**variables: str) -> dict[str, str]:
    """Return an environment without keys, proxies and the user's settings."""
    names = ("HOME", "LANG", "PATH", "TMPDIR")
    return {name: os.environ[name] for name in names if name in os.environ} | variables


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
