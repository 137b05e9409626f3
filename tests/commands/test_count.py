"""`llm evolink count`: an estimate without a request, and the order of the commands in the help."""

import json
import re

import pytest
from click.testing import CliRunner
from llm.cli import cli

from tests.scripted_server import UNREACHABLE

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8
METHOD = (
    "An estimate: 4 bytes of UTF-8 are counted as a token, an image of any size as 1,120 tokens, "
    "Google's figure for Gemini 3; the server can count differently\n"
)


@pytest.fixture(autouse=True)
def _environment(environment, user_path, monkeypatch):
    user_path.mkdir()
    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)  # Nothing is sent.


def count(*arguments, **options):
    return CliRunner().invoke(cli, ["evolink", "count", *arguments], **options)


@pytest.mark.parametrize(
    ("arguments", "piped", "tokens"),
    [
        (["What is a pelican?"], "", 5),
        (["four"], "", 1),
        (["fives"], "", 2),
        (["펠리컨"], "", 3),  # 9 bytes.
        (["hi"], "hello", 2),  # "hello hi"
        ([], "hello", 2),
        (["four", "-s", "four"], "", 2),
        (["four", "-f", "{file}", "-f", "{file}"], "", 11),
        (["four", "-a", "{image}", "-a", "https://one.example/a.png"], "", "2,241"),
        (["-a", "-"], PNG, "1,120"),
        (["\ud800"], "", 1),
    ],
)
def test_the_estimated_tokens(tmp_path, arguments, piped, tokens):
    file, image = tmp_path / "file", tmp_path / "image"
    file.write_text("x" * 18)
    image.write_bytes(PNG)

    done = count(*[each.format(file=file, image=image) for each in arguments], input=piped)

    assert (done.stdout, done.stderr) == (f"about {tokens} input tokens\n", METHOD)


def test_the_estimated_cost(user_path):
    prices = {"gemini-3.5-flash": {"in": 2, "out": 9}, "evolink/gpt-9": {"in": 1, "out": 9}}
    (user_path / "evolink-prices.json").write_text(json.dumps(prices))
    (user_path / "evolink-models.json").write_text('{"gpt-9": {}, "free": {}}')

    assert count("x" * 4000).stdout == "about 1,000 input tokens, cost about 0.002000\n"
    assert count("x" * 4000, "-m", "evolink/gpt-9").stdout.endswith(" 0.001000\n")
    assert count("x" * 4000, "-m", "evolink/free").stdout == "about 1,000 input tokens\n"
    assert json.loads(count("x" * 4000, "-a", "https://one.example/a", "--json").stdout) == {
        "model": "gemini-3.5-flash",
        "input_tokens": 2120,
        "text_tokens": 1000,
        "image_tokens": 1120,
        "cost": 0.00424,
        "method": METHOD.strip(),
    }


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], "There is nothing to count: give a prompt, -s, -f or -a"),
        (["-a", "none.png"], "There is no file none.png"),
        (["-a", "."], "There is no file ."),
        (["-a", "notes.txt"], "notes.txt is text/plain; send text as a fragment: -f notes.txt"),
        (["-a", "a.csv"], "a.csv is of an unknown type; send text as a fragment: -f a.csv"),
        (["-a", "large.png"], "large.png has 10.1 MB; an image may have 10 MB"),
        (["-a", "-"], "The attachment is empty"),
        (
            ["-a", "https://one.example/a.pdf"],
            "https://one.example/a.pdf is application/pdf; EvoLink's document names images only "
            "(image/jpeg, image/png, image/webp)",
        ),
        (["-f", "none"], "A fragment cannot be read: Fragment 'none' not found"),
        (["-f", "."], "A fragment cannot be read: [Errno 21] Is a directory: '.'"),
        (["hi", "-m", "none"], "'none' is not a model; see: llm models list"),
    ],
)
def test_invalid_input_is_named(monkeypatch, tmp_path, arguments, error):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("Pelicans are large.\n")
    (tmp_path / "a.csv").write_text("id\n1\n")
    (tmp_path / "large.png").write_bytes(PNG.ljust(10 * 2**20 + 1))

    done = count(*arguments)

    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {error}\n")


def test_help_lists_the_commands_in_the_order_of_use():
    shown = CliRunner().invoke(cli, ["evolink", "--help"]).stdout

    names = re.findall(r"^  (\w+)  +\S", shown.partition("Commands:\n")[2], re.MULTILINE)
    assert names == ["doctor", "models", "usage", "count", "batch", "sandbox"]


def test_no_help_is_cut():
    runner = CliRunner()

    brief = r"\n  evolink +Batches, token usage, checks and a sandbox for EvoLink\.\n"
    assert re.search(brief, runner.invoke(cli, ["--help"]).stdout)
    for command in ([], ["models"]):
        shown = runner.invoke(cli, ["evolink", *command, "--help"]).stdout
        assert "..." not in shown.partition("Options:")[2]
        assert "…" not in shown
