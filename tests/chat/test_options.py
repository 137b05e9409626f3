"""Options: those of the document, within its bounds, sent when set."""

import json

import llm
import pytest
from pydantic import ValidationError

from llm_evolink.chat.options import Options
from llm_evolink.sandbox.document import document
from tests.four_ways import MODEL

REQUEST = document()["components"]["schemas"]["ChatCompletionQuickRequest"]["properties"]
# What llm itself decides, or says in another way: -m, the prompt, --no-stream, --tool, --schema.
NOT_OPTIONS = {"model", "messages", "stream", "stream_options", "tools", "response_format"}
# One reply is read, and the model chooses among the tools; max_tokens is the same limit.
NOT_OFFERED = {"n", "tool_choice", "max_completion_tokens"}

# Each option as typed after -o, and as it is sent.
GIVEN = [
    ("temperature", "0.5", 0.5),
    ("temperature", "0", 0),
    ("max_tokens", "65536", 65536),
    ("top_p", "1", 1),
    ("frequency_penalty", "-2", -2),
    ("presence_penalty", "2", 2),
    ("stop", "END", "END"),
    ("stop", "[END]", "[END]"),
    ("stop", "[/INST", "[/INST"),
    ("stop", ["[INST]"], ["[INST]"]),
    ("stop", ' [ "c"]', ["c"]),
    ("stop", '["a", "b"]', ["a", "b"]),
    ("seed", "0", 0),
    ("reasoning_effort", "minimal", "minimal"),
    ("reasoning_effort", "high", "high"),
    ("logprobs", "true", True),
    ("top_logprobs", "20", 20),
]

REFUSED = [
    ("temperature", "2.1"),
    ("temperature", "-0.1"),
    ("temperature", "nan"),
    ("temperature", "warm"),
    ("max_tokens", "0"),
    ("max_tokens", "65537"),
    ("max_tokens", "1.5"),
    ("top_p", "1.01"),
    ("frequency_penalty", "-2.1"),
    ("presence_penalty", "inf"),
    ("stop", '["a", 1]'),
    ("stop", '["a'),
    ("stop", '["a", ' + "[" * 100_000),
    ("stop", " [ ]"),
    ("stop", []),
    ("stop", 5),
    ("stop", [["a"]]),
    ("seed", "-1"),
    ("seed", "2147483648"),
    ("reasoning_effort", "none"),
    ("logprobs", "maybe"),
    ("top_logprobs", "21"),
    ("json_object", "perhaps"),
    ("n", "2"),
    ("nonsense", "1"),
]


def test_each_option_is_one_of_the_document_and_no_other_is_missing():
    ours = Options.model_fields.keys() - {"json_object"}

    assert ours == REQUEST.keys() - NOT_OPTIONS - NOT_OFFERED


@pytest.mark.parametrize("name", sorted(Options.model_fields.keys() - {"json_object", "stop"}))
def test_an_option_has_the_bounds_of_the_document(name):
    documented = {
        word: REQUEST[name][word]
        for word in ("type", "enum", "minimum", "maximum")
        if word in REQUEST[name]
    }
    ours, unset = Options.model_json_schema()["properties"][name]["anyOf"]
    assert (ours, unset) == (documented, {"type": "null"})


def test_stop_has_the_kinds_of_the_document():
    assert [kind["type"] for kind in REQUEST["stop"]["oneOf"]] == ["string", "array"]
    assert REQUEST["stop"]["oneOf"][1]["items"] == {"type": "string"}


@pytest.mark.parametrize("name", Options.model_fields)
def test_a_description_says_the_range(name):
    said = Options.model_fields[name].description
    limits = [REQUEST.get(name, {}).get(word) for word in ("minimum", "maximum")]
    expected = [str(limit) for limit in limits if limit is not None] or REQUEST.get(name, {}).get(
        "enum", []
    )

    assert [word for word in expected if word not in said] == []


@pytest.mark.parametrize(("name", "given", "sent"), GIVEN)
def test_an_option_is_sent_as_it_was_given(sandbox, name, given, sent):
    llm.get_model(MODEL).prompt("hello", stream=False, **{name: given}).text()

    (request,) = sandbox.requests
    assert request.body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "hello"}],
        name: sent,
    }


def test_all_options_of_the_command_line_are_sent(sandbox, llm_command, turns):
    options = {name: (given, sent) for name, given, sent in GIVEN if isinstance(given, str)}
    arguments = [word for name, (given, _) in options.items() for word in ("-o", name, given)]
    done = llm_command("-m", MODEL, "hello", *arguments)

    assert done.returncode == 0
    (request,) = sandbox.requests
    sent = {name: sent for name, (_, sent) in options.items()}
    assert {name: request.body.get(name) for name in options} == sent
    assert turns()[0]["options_json"] == sent


def test_options_of_the_async_model_are_the_same():
    assert llm.get_async_model(MODEL).Options is llm.get_model(MODEL).Options is Options


@pytest.mark.parametrize("given", ["true", True])
def test_json_object_asks_for_an_object(sandbox, way, given):
    response = way.prompt("hello", json_object=given)

    assert json.loads(response.text_or_raise())["you_said"] == "hello"
    assert sandbox.requests[0].body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("options", [{"json_object": False}, {"stop": None}, {"seed": None}])
def test_what_is_unset_is_not_sent(sandbox, options):
    llm.get_model(MODEL).prompt("hello", stream=False, **options).text()

    assert sandbox.requests[0].body.keys() == {"model", "messages"}


@pytest.mark.parametrize(("name", "given"), REFUSED)
def test_an_invalid_value_is_refused_before_anything_is_sent(sandbox, name, given):
    for model in (llm.get_model(MODEL), llm.get_async_model(MODEL)):
        with pytest.raises(ValidationError) as refused:
            model.prompt("hello", **{name: given})
        # llm's printer of these errors joins the location: it takes no integer in it.
        assert {type(word) for error in refused.value.errors() for word in error["loc"]} == {str}
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        (
            "temperature",
            "3",
            "Error: temperature\n  Input should be less than or equal to 2\n",
        ),
        (
            "stop",
            '["a", 1]',
            "Error: stop\n  Value error, not a text or a list of texts\n",
        ),
        (
            "stop",
            '["a"',
            'Error: stop\n  Value error, begins with [" and is not a JSON list of texts\n',
        ),
        ("stop", "[]", "Error: stop\n  Value error, a list without a text\n"),
    ],
)
def test_the_command_line_says_which_option_is_wrong(sandbox, llm_command, name, given, told):
    done = llm_command("-m", MODEL, "hello", "-o", name, given)

    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)
    assert sandbox.requests == []


def test_a_default_option_is_sent(sandbox, llm_command):
    llm_command("models", "options", "set", MODEL, "temperature", "0.5")
    llm_command("-m", MODEL, "hello")

    assert sandbox.requests[0].body["temperature"] == 0.5


@pytest.mark.fresh_llm
def test_the_list_of_options_reads_well(environment, llm_command):
    done = llm_command("models", "-m", MODEL, "--options")

    assert (
        done.stdout
        == """\
EvoLink: gemini-3.5-flash (aliases: evolink/gemini-3.5-flash)
  Options:
    max_tokens: int
      Maximum number of tokens to generate, reasoning included, 1 to 65536
    temperature: float
      Randomness of the answer, 0 (least) to 2
    top_p: float
      Nucleus sampling: share of probability to draw tokens from, 0 to 1
    frequency_penalty: float
      Penalty on tokens by how often they occurred, -2 to 2
    presence_penalty: float
      Penalty on tokens that occurred at all, -2 to 2
    stop: array, str
      Text at which to stop, or a JSON list of several
    seed: int
      Seed of the sampling, 0 to 2147483647
    logprobs: boolean
      Send the log probability of each token
    top_logprobs: int
      With logprobs, number of likely tokens for each position, 0 to 20
    reasoning_effort: str
      How much to think before the answer: minimal, low, medium or high
    json_object: boolean
      Answer with a JSON object
  Attachment types:
    image/jpeg, image/png, image/webp
  Features:
  - streaming
  - schemas
  - tools
  - async
  Keys:
    key: evolink
    env_var: EVOLINK_API_KEY
"""
    )
