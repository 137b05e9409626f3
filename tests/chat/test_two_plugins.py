"""With llm-gemini, which also has a gemini-3.5-flash, both names mean EvoLink's model."""

import json

import pytest

from tests.four_ways import INTRODUCTION, MODEL

ORDERS = pytest.mark.parametrize(
    "order",
    ["llm-gemini,llm-evolink", "llm-evolink,llm-gemini"],
    ids=["gemini-first", "ours-first"],
)


@pytest.fixture
def beside(llm_command, monkeypatch):
    """Run `llm` with both plugins, loaded in this order; None for the order of installation."""

    def run(order, *arguments, **options):
        if order:
            monkeypatch.setenv("LLM_LOAD_PLUGINS", order)
        else:
            monkeypatch.delenv("LLM_LOAD_PLUGINS")
        return llm_command(*arguments, **options)

    return run


@ORDERS
def test_both_names_and_continued_conversations_use_evolink(sandbox, beside, turns, order):
    for arguments in (["-m", MODEL], ["-m", "evolink/gemini-3.5-flash", "--async"], ["-c"]):
        done = beside(order, *arguments, "hello")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(INTRODUCTION)

    assert [turn["model"] for turn in turns()] == [MODEL] * 3
    assert [len(request.body["messages"]) for request in sandbox.requests] == [1, 1, 3]


@ORDERS
def test_googles_model_keeps_its_long_name(environment, beside, order):
    listed = beside(order, "models", "-q", MODEL)

    assert listed.stderr == ""
    assert "EvoLink: gemini-3.5-flash (aliases: evolink/gemini-3.5-flash)\n" in listed.stdout
    assert "GeminiPro: gemini/gemini-3.5-flash" in listed.stdout


def test_both_plugins_load_as_installed(sandbox, beside):
    loaded = json.loads(beside(None, "plugins", fresh=True).stdout)
    assert {"llm-evolink", "llm-gemini"} <= {plugin["name"] for plugin in loaded}

    done = beside("llm-evolink", "-m", MODEL, "hello")
    assert done.stdout.startswith(INTRODUCTION)
