"""Run one case in this interpreter and print its result as JSON: python cases.py CASE URL.

A case is named MEASURE:SIDE; its result has `value` (seconds, chunks a second or MB) and others.
"""

import asyncio
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

KEY = "sk-bench-0123456789"
# The model of extra-openai-models.yaml, and ours.
MODELS = {"llm": "openai-compatible", "ours": "gemini-3.5-flash"}


def peak() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def load(whose: str, url: str) -> dict[str, float]:
    """Measure the CPU seconds that loading a plugin costs once llm is loaded."""
    import llm.cli

    name = {"ours": "llm_evolink", "llm-gemini": "llm_gemini"}[whose]
    began = time.process_time()
    plugin = importlib.import_module(name)
    plugin.register_models(lambda *models, **_: None)
    if hasattr(plugin, "register_commands"):
        plugin.register_commands(llm.cli.cli)
    return {"value": time.process_time() - began}


def prompt(whose: str, url: str) -> dict[str, float]:
    """Measure the CPU seconds of one CLI prompt, after llm is loaded and its log exists."""
    import llm.cli
    import sqlite_utils
    from llm.migrations import migrate

    llm.get_models()
    migrate(sqlite_utils.Database(llm.user_dir() / "logs.db"))
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    began = time.process_time()
    llm.cli.cli.main(["-m", MODELS[whose], "hello"], standalone_mode=False)
    seconds = time.process_time() - began
    sys.stdout = sys.__stdout__
    return {"value": seconds}


def chunks(whose: str, url: str) -> dict[str, float]:
    """Measure the chunks decoded in a CPU second; making the client is not measured."""
    count = {"ours": count_ours, "openai": count_openai, "httpx": count_httpx}[whose]
    counting = count(url)
    next(counting)
    began = time.process_time()
    number = next(counting)
    return {"value": number / (time.process_time() - began)}


def count_ours(url: str) -> Iterator[int]:
    from generated_client import AuthenticatedClient
    from generated_client.api.chat_completion import create_chat_completion_quick as api
    from generated_client.models import ChatCompletionQuickRequest, MessageSimple

    body = ChatCompletionQuickRequest(
        model="gemini-3.5-flash", messages=[MessageSimple(role="user", content="hello")]
    )
    client = AuthenticatedClient(base_url=url, token=KEY)
    client.get_httpx_client()
    yield 0
    number = 0
    with api.sync_stream(client=client, body=body) as stream:
        for each in stream:
            number += bool(each.choices and each.choices[0].delta.content)
    yield number


def count_openai(url: str) -> Iterator[int]:
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key=KEY)
    yield 0
    number = 0
    for each in client.chat.completions.create(
        model="gemini-3.5-flash", messages=[{"role": "user", "content": "hello"}], stream=True
    ):
        number += bool(each.choices and each.choices[0].delta.content)
    yield number


def count_httpx(url: str) -> Iterator[int]:
    import httpx

    client = httpx.Client(base_url=url)
    body = {"model": "gemini-3.5-flash", "messages": [{"role": "user", "content": "hello"}]}
    yield 0
    number = 0
    with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        for line in response.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                each = json.loads(line[6:])
                number += bool(each["choices"] and each["choices"][0]["delta"]["content"])
    yield number


def fifty(whose: str, url: str) -> dict[str, float]:
    """Measure the wall time of 50 prompts in one process."""
    import llm

    model = llm.get_model(MODELS[whose])
    began = time.perf_counter()
    for _ in range(50):
        assert model.prompt("hello").text() == "Hello there"
    return {"value": time.perf_counter() - began}


def at_once(whose: str, url: str, number: int = 300, together: int = 300) -> dict[str, float]:
    """Measure the wall time of asynchronous prompts, the CPU time of each, and peak memory."""
    import llm

    model = llm.get_async_model(MODELS[whose])

    async def main() -> None:
        places = asyncio.Semaphore(together)

        async def one() -> None:
            async with places:
                assert await model.prompt("hello").text() == "Hello there"

        await asyncio.gather(*(one() for _ in range(number)))

    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(main())
    cpu = time.process_time() - cpu
    return {"value": time.perf_counter() - began, "cpu": cpu / number, "peak": peak()}


def large(whose: str, url: str) -> dict[str, float]:
    """Measure the peak memory of a 100 MB answer streamed to /dev/null."""
    import llm

    class Echo(llm.Model):
        model_id = "echo"
        can_stream = True

        def execute(self, *_: Any, **__: Any) -> Iterator[str]:
            for _each in range(10_000):
                # A new string each time, as a decoder makes.
                yield "".join(["x" * 9_999, "x"])

    # Both sides load llm's plugins, as the command line does.
    ours = llm.get_model(MODELS["ours"])
    model = Echo() if whose == "echo" else ours
    with open(os.devnull, "w") as sink:
        for text in model.prompt("hello"):
            sink.write(text)
    return {"value": peak()}


def rows(count: int) -> Iterator[dict[str, str]]:
    return ({"id": str(number), "text": f"review {number} " * 20} for number in range(count))


def batch(whose: str, url: str, number: int = 2000, runs: int = 1) -> dict[str, float]:
    """Measure the rows a second of a batch, the CPU time of each, and peak memory.

    The last of so many runs is measured: after the first, all rows have an answer.
    """
    import llm

    from llm_evolink.batch import ask

    llm.get_async_model(MODELS[whose])  # Both sides have llm's plugins loaded.
    for _ in range(runs):
        began, cpu = time.perf_counter(), time.process_time()
        database = llm.user_dir() / "batch.db"
        answers = ask(rows(number), "Sentiment: $text", database=database)
        assert sum(result.answer == "Hello there" for result in answers) == number
        cpu = time.process_time() - cpu
    return {"value": number / (time.perf_counter() - began), "cpu": cpu / number, "peak": peak()}


def loop(whose: str, url: str, number: int = 2000) -> dict[str, float]:
    """Measure a bare loop of asynchronous prompts, 32 at once, that logs nothing."""
    import llm

    model = llm.get_async_model(MODELS[whose])
    left = rows(number)

    async def ask_rows() -> None:
        for row in left:
            text = await model.prompt(f"Sentiment: {row['text']}").text()
            assert text == "Hello there"

    async def main() -> None:
        await asyncio.gather(*(ask_rows() for _ in range(32)))

    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(main())
    cpu = time.process_time() - cpu
    return {"value": number / (time.perf_counter() - began), "cpu": cpu / number}


def xargs(whose: str, url: str, number: int = 40) -> dict[str, float]:
    """Measure the rows a second of a shell loop, which starts llm for each."""
    script = f"seq {number} | xargs -P 8 -I N {Path(sys.executable).with_name('llm')} 'review N'"
    environment = {**os.environ, "LLM_MODEL": MODELS[whose]}
    began = time.perf_counter()
    # Some fail with "database is locked", and xargs reports it: that is part of the comparison.
    subprocess.run(["sh", "-c", script], env=environment, capture_output=True, check=False)
    return {"value": number / (time.perf_counter() - began)}


CASES: dict[str, Callable[..., dict[str, float]]] = {
    "load": load,
    "prompt": prompt,
    "chunks": chunks,
    "fifty": fifty,
    "at-once": at_once,
    "some": lambda whose, url: at_once(whose, url, 300, 100),
    "many": lambda whose, url: at_once(whose, url, 10_000, 100),
    "large": large,
    "batch": batch,
    "loop": loop,
    "xargs": xargs,
    "batch-10,000": lambda whose, url: batch(whose, url, 10_000),
    "batch-100,000": lambda whose, url: batch(whose, url, 100_000),
    "batch-again": lambda whose, url: batch(whose, url, 100_000, runs=2),
}

if __name__ == "__main__":
    case, _, owner = sys.argv[1].partition(":")
    print(json.dumps(CASES[case](owner, sys.argv[2])))
