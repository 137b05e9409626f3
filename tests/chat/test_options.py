"""Options: those of the document with its bounds, and five of the plugin; sent only when set."""

import json
import math
from pathlib import Path

import llm
import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from llm_evolink.chat.options import Options
from llm_evolink.chat.unbounded_options import UnboundedOptions
from llm_evolink.errors import InvalidRequestError
from llm_evolink.sandbox.document import document
from tests.four_ways import INTRODUCTION, MODEL, STREAMED, way_id

REQUEST = document()["components"]["schemas"]["ChatCompletionQuickRequest"]["properties"]
# llm sets these in another way: -m, the prompt, --no-stream, --tool, --schema.
NOT_OPTIONS = {"model", "messages", "stream", "stream_options", "tools", "response_format"}
# One answer is read, the model chooses among the tools, max_tokens is the same limit, and the
# time-out is the plugin's own.
NOT_OFFERED = {"n", "tool_choice", "max_completion_tokens", "timeout"}
SCALARS = {
    name: schema
    for name, schema in REQUEST.items()
    if schema.get("type") in ("boolean", "integer", "number", "string")
    and name not in NOT_OPTIONS | NOT_OFFERED
}
# Options that are not scalar fields of the request.
OF_THE_PLUGIN = {"stop", "json_object", "include_thoughts", "timeout", "extra_body"}

BOUNDS = ("minimum", "maximum", "minLength", "maxLength", "pattern")


def valid_values(schema):
    """Return values of the document's scalar field, its bounds among them."""
    if "enum" in schema:
        return schema["enum"]
    if schema["type"] in ("boolean", "string"):
        return [True] if schema["type"] == "boolean" else ["a" * schema.get("minLength", 1)]
    bounds = [schema[word] for word in ("minimum", "maximum") if word in schema]
    return [*bounds, bounds[0] + 0.5 if schema["type"] == "number" and bounds else 1][:3]


def invalid_texts(schema):
    """Return texts that are no values of the document's scalar field."""
    step = 1 if schema["type"] == "integer" else 0.1
    bounds = [str(schema["minimum"] - step)] if "minimum" in schema else []
    bounds += [str(schema["maximum"] + step)] if "maximum" in schema else []
    texts = {"number": ["warm", "nan", "inf"], "integer": ["1.5"], "boolean": ["maybe"]}
    return [*texts.get(schema["type"], []), *bounds] + ["none such"] * ("enum" in schema)


# Each option as given after -o, and as it is sent.
GIVEN = [
    ("stop", "END", "END"),
    ("stop", "[END]", "[END]"),
    ("stop", "[/INST", "[/INST"),
    ("stop", ["[INST]"], ["[INST]"]),
    ("stop", ' [ "c"]', ["c"]),
    ("stop", '["a", "b"]', ["a", "b"]),
    *(
        (name, value if isinstance(value, str) else json.dumps(value), value)
        for name, schema in SCALARS.items()
        for value in valid_values(schema)
    ),
]

REFUSED = [
    *((name, text) for name, schema in SCALARS.items() for text in invalid_texts(schema)),
    ("stop", '["a", 1]'),
    ("stop", '["a'),
    ("stop", '["a", ' + "[" * 100_000),
    ("stop", " [ ]"),
    ("stop", []),
    ("stop", 5),
    ("stop", [["a"]]),
    ("json_object", "perhaps"),
    ("include_thoughts", "perhaps"),
    ("timeout", "0"),
    ("timeout", "0.0009"),
    ("timeout", "86401"),
    ("timeout", "-1"),
    ("timeout", "nan"),
    ("timeout", "inf"),
    ("timeout", "soon"),
    ("extra_body", "new_field"),
    ("n", "2"),
    ("nonsense", "1"),
]


def test_each_option_is_one_of_the_document_and_no_other_is_missing():
    assert Options.model_fields.keys() == SCALARS.keys() | OF_THE_PLUGIN


@pytest.mark.parametrize("name", SCALARS)
def test_an_option_has_the_bounds_of_the_document(name):
    documented = {
        word: SCALARS[name][word] for word in ("type", "enum", *BOUNDS) if word in SCALARS[name]
    }
    ours, unset = Options.model_json_schema()["properties"][name]["anyOf"]
    assert (ours, unset) == (documented, {"type": "null"})


def test_stop_has_the_types_of_the_document():
    assert [each["type"] for each in REQUEST["stop"]["oneOf"]] == ["string", "array"]
    assert REQUEST["stop"]["oneOf"][1]["items"] == {"type": "string"}


def test_each_description_that_we_wrote_contains_the_range():
    """EvoLink's own descriptions need not."""
    overlays = Path(__file__).parents[2] / "openapi/overlays"
    actions = YAML(typ="safe").load(overlays / "3-extensions.yaml")["actions"]
    missing = [
        (name, limit)
        for action in actions
        for name, schema in action.get("update", {}).items()
        if name in SCALARS and isinstance(schema, dict)
        for limit in [*map(schema.get, ("minimum", "maximum")), *schema.get("enum", ())]
        if limit is not None and str(limit) not in schema["description"]
    ]
    assert missing == []


@pytest.mark.parametrize(("name", "given", "sent"), GIVEN)
def test_an_option_is_sent_under_its_name(sandbox, name, given, sent):
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
def test_an_unset_option_is_not_sent(sandbox, options):
    llm.get_model(MODEL).prompt("hello", stream=False, **options).text()

    assert sandbox.requests[0].body.keys() == {"model", "messages"}


THOUGHTS = {"google": {"thinking_config": {"include_thoughts": True}}}

# The options extra_body and include_thoughts, and what they add to the request.
ADDED = [
    pytest.param({"extra_body": '{"new_field": 40}'}, {"new_field": 40}, id="JSON"),
    pytest.param({"extra_body": {"a": {"b": [None, "ä"]}}}, {"a": {"b": [None, "ä"]}}, id="dict"),
    pytest.param({"extra_body": {"tool_choice": "auto"}}, {"tool_choice": "auto"}, id="document"),
    pytest.param({"extra_body": {"extra_body": {"a": 1}}}, {"extra_body": {"a": 1}}, id="nested"),
    pytest.param({"extra_body": {"timeout": 5}, "timeout": 9}, {"timeout": 5}, id="timeout"),
    pytest.param({"timeout": "0.5"}, {}, id="the plugin's"),
    pytest.param({"extra_body": "{}"}, {}, id="empty"),
    pytest.param({"extra_body": None}, {}, id="unset"),
    pytest.param({"include_thoughts": "true"}, {"extra_body": THOUGHTS}, id="thoughts"),
    pytest.param(
        {"include_thoughts": False},
        {"extra_body": {"google": {"thinking_config": {"include_thoughts": False}}}},
        id="no-thoughts",
    ),
    pytest.param(
        {"include_thoughts": True, "extra_body": {"new_field": 40}, "seed": 1},
        {"seed": 1, "extra_body": THOUGHTS, "new_field": 40},
        id="both",
    ),
]


@pytest.mark.parametrize(("options", "added"), ADDED)
def test_further_fields_are_added_to_the_request(sandbox, options, added):
    llm.get_model(MODEL).prompt("hello", stream=False, **options).text()

    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}
    assert sandbox.requests[0].body == body | added


@pytest.mark.parametrize("way", STREAMED, ids=way_id)
def test_further_fields_are_sent_and_logged_by_the_command(sandbox, way, llm_command, turns):
    options = ["-o", "extra_body", '{"new_field": 40}', "-o", "include_thoughts", "true"]
    done = llm_command("-m", MODEL, "hello", *options, *way.flags)

    assert (done.returncode, done.stdout) == (0, f'{INTRODUCTION} You said: "hello"\n')
    assert done.stderr == "The sandbox pretends to think.\n"
    (request,) = sandbox.requests
    assert (request.body["new_field"], request.body["extra_body"]) == (40, THOUGHTS)
    (turn,) = turns()
    assert turn["options_json"] == {"extra_body": {"new_field": 40}, "include_thoughts": True}


def test_thoughts_in_tags_are_reasoning(scripted, llm_command):
    """Google documents this form of the thoughts that include_thoughts asks for."""
    scripted({"message": {"content": "<thought>A bird.</thought>It is a bird."}})
    done = llm_command("-m", MODEL, "hello", "-o", "include_thoughts", "1")

    assert (done.stdout, done.stderr) == ("It is a bird.\n", "A bird.\n")


def test_a_request_field_has_one_source(sandbox, way):
    with pytest.raises(InvalidRequestError) as refused:
        way.prompt("hello", include_thoughts=True, extra_body={"a": 1, "extra_body": {}})

    assert str(refused.value) == (
        "extra_body cannot hold extra_body beside the option include_thoughts, which sets it"
    )
    assert sandbox.requests == []


@pytest.mark.parametrize(("name", "given"), REFUSED)
def test_an_invalid_value_is_refused_before_anything_is_sent(sandbox, name, given):
    for model in (llm.get_model(MODEL), llm.get_async_model(MODEL)):
        with pytest.raises(ValidationError) as refused:
            model.prompt("hello", **{name: given})
        # llm's printer of these errors joins the location: it takes no integer in it.
        assert {type(word) for error in refused.value.errors() for word in error["loc"]} == {str}
    assert sandbox.requests == []


NO_OPTION = (
    "There is no such option; llm models --options lists them, and extra_body takes any other "
    "field of the request"
)

HOTTEST = SCALARS["temperature"]["maximum"]

# Python 3.12 added the value to this message.
with pytest.raises(ValueError, match="Out of range float values") as not_finite:
    json.dumps(math.nan, allow_nan=False)

# An invalid option, and the message for it.
MESSAGES = [
    ("temperature", str(HOTTEST + 1), f"Input should be less than or equal to {HOTTEST}"),
    ("stop", '["a", 1]', "not a text or a list of texts"),
    ("stop", '["a"', 'begins with [" and is not a JSON list of texts'),
    ("stop", "[]", "an empty list"),
    ("temprature", "1", "There is no such option; did you mean temperature?"),
    ("Max-Tokens", "1", "There is no such option; did you mean max_tokens?"),
    ("max_output_tokens", "1", "There is no such option; did you mean max_tokens?"),
    ("maxOutputTokens", "1", "There is no such option; did you mean max_tokens?"),
    ("max_completion_tokens", "1", "There is no such option; did you mean max_tokens?"),
    ("thinking_budget", "1", "There is no such option; did you mean reasoning_effort?"),
    ("thinkingLevel", "low", "There is no such option; did you mean reasoning_effort?"),
    ("stop_sequences", "a", "There is no such option; did you mean stop?"),
    ("new_field", "1", NO_OPTION),
    ("", "1", NO_OPTION),
    ("extra_body", "new_field", 'not JSON; give an object such as {"top_k": 40}'),
    ("extra_body", "[" * 100_000, 'not JSON; give an object such as {"top_k": 40}'),
    ("extra_body", "[1]", 'not a JSON object such as {"top_k": 40}'),
    ("extra_body", '{"a": NaN}', f"not JSON: {not_finite.value}"),
    ("extra_body", {"a": {1}}, "not JSON: Object of type set is not JSON serializable"),
    ("extra_body", '{"a":' * 101 + "1" + "}" * 101, "nested deeper than 100 levels"),
    ("extra_body", '{"seed": 1}', "cannot hold seed: use the option"),
    ("extra_body", '{"json_object": 1}', "cannot hold json_object: use the option"),
    ("extra_body", '{"model": "x"}', "cannot hold model: -m sets it"),
    ("extra_body", '{"messages": []}', "cannot hold messages: the prompt sets it"),
    ("extra_body", '{"stream": true}', "cannot hold stream: --no-stream sets it"),
    ("extra_body", '{"stream_options": {}}', "cannot hold stream_options: the plugin sets it"),
    ("extra_body", '{"tools": []}', "cannot hold tools: -T and --functions set it"),
    (
        "extra_body",
        '{"response_format": {}}',
        "cannot hold response_format: --schema and the option json_object set it",
    ),
    (
        "extra_body",
        '{"max_completion_tokens": 1}',
        "cannot hold max_completion_tokens: use the option max_tokens",
    ),
    ("extra_body", '{"n": 2}', "cannot hold n: the plugin reads one answer"),
]


@pytest.mark.parametrize(("name", "given", "message"), MESSAGES, ids=range(len(MESSAGES)))
def test_the_error_of_an_option_names_it(environment, name, given, message):
    with pytest.raises(ValidationError) as refused:
        llm.get_async_model(MODEL).prompt("hello", **{name: given})

    (error,) = refused.value.errors()
    assert (error["loc"], error["msg"]) == ((name,), message)


def test_each_invalid_option_has_its_error(environment):
    with pytest.raises(ValidationError) as refused:
        Options(temprature=1, seed=-1)

    assert {error["loc"]: error["type"] for error in refused.value.errors()} == {
        ("temprature",): "extra_forbidden",
        ("seed",): "greater_than_equal",
    }


def test_the_options_of_an_added_model_are_explained_too(environment):
    with pytest.raises(ValidationError, match=r"did you mean temperature\?"):
        UnboundedOptions(temprature=5)
    with pytest.raises(ValidationError, match=r"cannot hold seed: use the option"):
        UnboundedOptions(extra_body={"seed": 5})
    with pytest.raises(ValidationError, match=r"not a number from 0[.]001 to 86400"):
        UnboundedOptions(timeout=0)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [MESSAGES[0], MESSAGES[4], MESSAGES[-1]],
    ids=["bound", "name", "extra_body"],
)
@pytest.mark.parametrize("flags", [[], ["--async"]], ids=["sync", "async"])
def test_the_command_line_names_the_option(sandbox, llm_command, name, given, message, flags):
    done = llm_command("-m", MODEL, "hello", "-o", name, given, *flags)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {name}\n  {message}\n"
    assert sandbox.requests == []


def test_an_unknown_default_option_is_refused(environment, llm_command):
    done = llm_command("models", "options", "set", MODEL, "thinking_budget", "0")

    assert (done.returncode, done.stderr) == (
        1,
        "Error: thinking_budget\n  There is no such option; did you mean reasoning_effort?\n",
    )


def test_a_default_option_is_sent(sandbox, llm_command):
    llm_command("models", "options", "set", MODEL, "temperature", "0.5")
    llm_command("-m", MODEL, "hello")

    assert sandbox.requests[0].body["temperature"] == 0.5
