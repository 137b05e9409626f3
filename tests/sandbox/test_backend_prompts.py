"""The prompt that a backend gets for a request."""

import base64

import llm
import pytest

from llm_evolink import EvolinkChat
from llm_evolink.constants import MODEL_ID
from tests.four_ways import Plain, Scripted, ask_backend, text_of, tool
from tests.scripted_server import answer, serving

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + b"\0\0\0\3\0\0\0\2" + b"\0" * 54
DATA = base64.b64encode(PNG).decode()


def prompt_of(messages="hello", **fields):
    """Return the prompt that the backend gets for a request."""
    model = Scripted("Hi")
    response = ask_backend(model, messages, **fields)
    assert response.status_code == 200, response.text
    (prompt,) = model.prompts
    return prompt


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def test_the_prompt_has_all_messages():
    prompt = prompt_of(
        [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": [{"type": "text", "text": t} for t in ("two", "three")]},
        ]
    )
    assert (prompt.system, prompt.prompt) == ("Be brief", "two\nthree")
    assert prompt.messages == [
        llm.system("Be brief"),
        llm.user("one"),
        llm.assistant("1"),
        llm.user("two\nthree"),
    ]


def test_images_are_attachments():
    content = [{"type": "text", "text": "What?"}, image(f"data:image/png;base64,{DATA}")]
    prompt = prompt_of([{"role": "user", "content": content}])
    assert prompt.attachments == [llm.Attachment(type="image/png", content=PNG)]
    assert prompt.messages == [llm.user("What?", *prompt.attachments)]


def test_the_url_of_an_image_is_passed_on():
    history = {"role": "user", "content": [image("https://example.com/a.png")]}
    prompt = prompt_of([history, {"role": "user", "content": "What?"}])
    assert prompt.messages[0] == llm.user(llm.Attachment(url="https://example.com/a.png"))


def test_image_jpg_becomes_image_jpeg():
    content = [image(f"data:image/jpg;base64,{DATA}")]
    (attachment,) = prompt_of([{"role": "user", "content": content}]).attachments
    assert attachment.type == "image/jpeg"


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, {}),
        ({"temperature": 0.5, "top_p": 0.5, "seed": 1, "stop": "a"}, {"temperature": 0.5}),
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 3}, {"max_tokens": 3}),
        ({"response_format": {"type": "json_object"}}, {"json_object": True}),
        ({"response_format": {"type": "text"}}, {}),
    ],
)
def test_a_field_becomes_an_option_that_the_backend_has(fields, options):
    assert dict(prompt_of(**fields).options) == {
        "temperature": None,
        "max_tokens": None,
        "json_object": None,
        **options,
    }


def test_a_field_named_extra_body_reaches_the_server_of_the_backend(environment, monkeypatch):
    google = {"google": {"thinking_config": {"include_thoughts": True}}}
    with serving(monkeypatch, answer) as server:
        assert text_of(ask_backend(EvolinkChat(MODEL_ID), extra_body=google)) == "hi"
    assert server.requests[0].json()["extra_body"] == google


def test_a_backend_without_options_ignores_the_fields():
    fields = {"max_tokens": 5, "response_format": {"type": "json_object"}}
    assert text_of(ask_backend(Plain(), **fields)) == "You asked: hello"


def test_the_schema_of_the_response_format_is_passed_on():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    response_format = {"type": "json_schema", "json_schema": {"name": "dog", "schema": schema}}
    assert prompt_of(response_format=response_format).schema == schema


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("auto", ["add", "sub"]),
        ("required", ["add", "sub"]),
        ("none", []),
        ({"type": "function", "function": {"name": "sub"}}, ["sub"]),
    ],
)
def test_tool_choice_selects_the_tools_that_are_offered(choice, names):
    prompt = prompt_of(tools=[tool("add"), tool("sub")], tool_choice=choice)
    assert [each.name for each in prompt.tools] == names


def test_a_tool_is_offered_with_description_and_parameters():
    described = {"name": "add", "description": "Adds", "parameters": {"type": "object"}}
    (offered,) = prompt_of(tools=[{"type": "function", "function": described}]).tools
    assert offered == llm.Tool("add", "Adds", {"type": "object"})


def test_an_option_that_the_document_does_not_have_reaches_the_backend():
    class Sampling(Scripted):
        class Options(llm.Options):
            top_k: int | None = None

    model = Sampling("Hi")
    assert ask_backend(model, top_k=40, other=1).status_code == 200
    assert dict(model.prompts[0].options) == {"top_k": 40}
