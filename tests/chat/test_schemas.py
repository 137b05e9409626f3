"""Schemas: sent as response_format, in every round, and their objects read back from the log."""

import json

import pydantic

from tests.chat.test_tools import now, upper
from tests.four_ways import MODEL
from tests.scripted_server import serving

DOG = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
GENERATED = {"name": "sandbox", "age": 0}


class Dog(pydantic.BaseModel):
    name: str
    friends: list["Dog"]


def response_format(schema):
    return {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}


def test_a_dict_is_a_schema(sandbox, way):
    response = way.prompt("Invent a dog", schema=DOG)

    assert json.loads(response.text_or_raise()) == GENERATED
    assert sandbox.requests[0].body["response_format"] == response_format(DOG)


def test_a_pydantic_class_is_a_schema(sandbox, way):
    response = way.prompt("Invent a dog", schema=Dog)

    assert Dog.model_validate_json(response.text_or_raise()) == Dog(name="sandbox", friends=[])
    sent = sandbox.requests[0].body["response_format"]
    assert sent == response_format(Dog.model_json_schema())


def test_a_schema_overrides_json_object(sandbox, way):
    way.prompt("Invent a dog", schema=DOG, json_object=True)

    assert sandbox.requests[0].body["response_format"] == response_format(DOG)


def test_a_schema_is_sent_in_every_round_of_a_chain(sandbox, way):
    text = way.chain('now then upper {"text": "a"}', tools=[now, upper], schema=DOG)

    formats = [request.body.get("response_format") for request in sandbox.requests]
    assert formats == [response_format(DOG)] * 3
    assert json.loads(text) == GENERATED


def test_a_schema_applies_to_its_own_chain_only(sandbox, way):
    conversation = way.model.conversation(tools=[now])
    way.chain("now", on=conversation, tools=[now], schema=DOG)
    way.chain("now", on=conversation, tools=[now])

    formats = ["response_format" in request.body for request in sandbox.requests]
    assert formats == [True, True, False, False]


def test_results_without_a_prompt_before_them_have_no_schema(sandbox, way):
    conversation = way.model.conversation(tools=[now])
    first = way.prompt("now", tools=[now])
    (call,) = first.tool_calls_or_raise()
    history = [*first.prompt.messages, *way.resolve(first.messages())]
    result = way.resolve(first.execute_tool_calls())
    assert [each.tool_call_id for each in result] == [call.tool_call_id]
    way.prompt(on=conversation, messages=history, tool_results=result, tools=[now])
    way.prompt(messages=history, tool_results=result, tools=[now])

    assert ["response_format" in request.body for request in sandbox.requests] == [False] * 3


def test_the_forms_of_a_schema_at_the_command_line(sandbox, llm_command, tmp_path):
    path = tmp_path / "dog.json"
    path.write_text(json.dumps(DOG))
    for given, *flags in (
        ("name, age int",),
        (json.dumps(DOG), "--async"),
        (str(path), "--no-stream"),
    ):
        done = llm_command("-m", MODEL, "--schema", given, "Invent a dog", *flags)
        assert (json.loads(done.stdout), done.stderr) == (GENERATED, "")

    formats = [request.body["response_format"] for request in sandbox.requests]
    assert formats == [response_format(DOG)] * 3


def test_objects_are_read_back_from_the_log(sandbox, llm_command):
    prompt = 'Say {"items": [{"name": "Rex", "age": 3}]}'
    done = llm_command("-m", MODEL, "--schema-multi", "name, age int", prompt, fresh=True)
    assert json.loads(done.stdout) == {"items": [{"name": "Rex", "age": 3}]}

    logged = llm_command("logs", "--schema-multi", "name, age int", "--data-key", "items")

    assert json.loads(logged.stdout) == {"name": "Rex", "age": 3}


def test_a_cut_answer_is_logged_and_exits_with_1(sandbox, llm_command, turns, way):
    """The exit code keeps a script from parsing the JSON."""
    options = ["--schema", "name, age int", "-o", "max_tokens", "3"]
    done = llm_command("-m", MODEL, "Invent a dog", *options, *way.flags)

    assert (done.returncode, done.stdout) == (1, '{"name": "sa\n')
    assert done.stderr == (
        "The JSON of the answer is cut (length) and must not be parsed: raise the limit with "
        "-o max_tokens\n"
    )
    (turn,) = turns()
    assert turn["response_json"]["finish_reason"] == "length"
    (row,) = json.loads(llm_command("logs", "--json").stdout)
    assert row["response"] == '{"name": "sa'


def test_json_that_a_content_filter_cut(monkeypatch, environment, llm_command):
    def cut(reply):
        reply.complete({"content": '{"name": "sa'}, finish_reason="content_filter")

    with serving(monkeypatch, cut):
        done = llm_command("-m", MODEL, "Invent a dog", "--schema", "name, age int")

    assert done.returncode == 1
    assert done.stderr == (
        "The JSON of the answer is cut (content_filter) and must not be parsed: "
        "rephrase the prompt\n"
    )


def test_a_complete_answer_and_cut_text_exit_with_0(sandbox, llm_command):
    complete = llm_command("-m", MODEL, "Invent a dog", "--schema", "name, age int")
    cut_text = llm_command("-m", MODEL, "Invent a dog", "-o", "max_tokens", "3")

    assert [complete.returncode, cut_text.returncode] == [0, 0]


def test_a_cut_answer_in_python_does_not_exit(sandbox, way):
    response = way.prompt("Invent a dog", schema=DOG, max_tokens=3)

    assert response.text_or_raise() == '{"name": "sa'
    assert response.response_json["finish_reason"] == "length"
