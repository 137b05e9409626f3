"""Tries a new client before it replaces the old one: a type check, and prompts to the sandbox."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .errors import one_line

ROOT = Path(__file__).parents[2]
SECONDS = 300.0
MOST_LINES = 20


def try_client(scratch: Path) -> list[str]:
    """Return a line for each failure of the plugin with the client in the folder scratch.

    The client is type-checked together with the plugin, and the plugin sends prompts to the
    sandbox of the client's document. Nothing is written outside of scratch and the mypy cache.
    """
    with ThreadPoolExecutor() as executor:
        types = executor.submit(_type_check, scratch)
        return [*prompt_failures(scratch), *types.result()]


def _type_check(scratch: Path) -> list[str]:
    cache = ROOT / ".mypy_cache/regenerate"
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    command += ["--cache-dir", str(cache), "--no-error-summary", "--no-pretty"]
    command += ["--package", "generated_client", "--package", "llm_evolink"]
    code, out, err = _run(command, scratch, MYPYPATH=f"{scratch}{os.pathsep}{ROOT}")
    lines = [line for line in out.splitlines() if ": error: " in line]
    if code and not lines:
        return [f"type check: {one_line(err or out)}"]
    shown = [f"type check: {line.replace(str(ROOT) + '/', '')}" for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"type check: and {len(lines) - MOST_LINES} more errors")
    return shown


def prompt_failures(scratch: Path) -> list[str]:
    """Return a line for each failure of a prompt that the plugin sends to the sandbox."""
    command = [sys.executable, "-m", "regeneration.trial_prompts", str(scratch)]
    path = os.pathsep.join([str(scratch), str(ROOT), str(ROOT / "scripts")])
    code, out, err = _run(command, scratch, PYTHONPATH=path)
    if code:
        lines = (err or out).strip().splitlines()
        return [f"prompts: {one_line(lines[-1] if lines else f'exit code {code}')}"]
    return out.splitlines()


def _run(command: list[str], scratch: Path, **variables: str) -> tuple[int, str, str]:
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    try:
        done = subprocess.run(
            command,
            cwd=scratch,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, "", f"no result within {SECONDS:g} seconds"
    return done.returncode, done.stdout, done.stderr
