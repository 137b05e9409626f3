"""Sends prompts through the plugin to the sandbox, and prints a line for each that fails.

Run by trial.py in a process of its own, whose generated_client is the new one.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

KEY = "sk-regenerate-trial"


def main(scratch: Path) -> None:
    """Send the prompts; the folder scratch is used as llm's folder."""
    os.environ |= {
        "EVOLINK_API_KEY": KEY,
        "EVOLINK_MAX_RETRIES": "0",
        "LLM_LOAD_PLUGINS": "llm-evolink",
        "LLM_USER_PATH": str(scratch / "llm"),
    }
    try:
        import llm

        from llm_evolink.sandbox import serve

        with serve() as server:
            os.environ["EVOLINK_BASE_URL"] = server.url
            model = llm.get_model("gemini-3.5-flash")
            _try("prompt", lambda: _prompt(model, stream=False))
            _try("stream", lambda: _prompt(model, stream=True))
            _try("tool chain", lambda: _tool_chain(model))
    except Exception as error:
        _report("prompts", error)


def _try(name: str, send: Callable[[], None]) -> None:
    try:
        send()
    except Exception as error:
        _report(name, error)


def _prompt(model: Any, *, stream: bool) -> None:
    """Send one user message. Raises RuntimeError for a reply that does not repeat it."""
    text = model.prompt("hello", stream=stream).text()
    if "hello" not in text:
        raise RuntimeError(f"the reply does not repeat the prompt: {text[:200]!r}")


def _tool_chain(model: Any) -> None:
    """Send a prompt that calls a tool. Raises RuntimeError for a reply without its result."""

    def double(number: int) -> str:
        """Double a number."""
        return f"doubled {2 * number}"

    text = model.chain('double {"number": 21}', tools=[double], stream=True).text()
    if "doubled 42" not in text:
        raise RuntimeError(f"the reply lacks the result of the tool: {text[:200]!r}")


def _report(name: str, error: Exception) -> None:
    words = " ".join(str(error).split()) or "no message"
    print(f"{name}: {type(error).__name__}: {words[:300]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
