"""The document's examples, with which a mock server such as Prism answers."""

import httpx
import pytest
from jsonschema import Draft202012Validator

from llm_evolink.sandbox.document import document, operation, resolve
from tests.four_ways import COMPLETE, STREAMED, ask, way_id
from tests.scripted_server import in_memory

CONTENTS = [
    (status, media_type, content)
    for status, response in operation()["responses"].items()
    for media_type, content in resolve(response)["content"].items()
]
JSON = [
    pytest.param(content["schema"], example, id=status)
    for status, media_type, content in CONTENTS
    for example in (
        [content["example"]]
        if "example" in content
        else [each["value"] for each in content.get("examples", {}).values()]
    )
    if media_type == "application/json"
]


def test_the_successful_response_and_its_stream_have_an_example():
    types = [
        media_type
        for status, media_type, content in CONTENTS
        if status == "200" and "example" in content
    ]
    assert types == ["application/json", "text/event-stream"]


@pytest.mark.parametrize(("schema", "example"), JSON)
def test_an_example_fits_its_schema(schema, example):
    schema = {**schema, "components": document()["components"]}
    Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize("way", [STREAMED[0], COMPLETE[0]], ids=way_id)
def test_a_mock_server_that_sends_the_example_answers_a_prompt(environment, monkeypatch, way):
    examples = {media_type: content["example"] for _, media_type, content in CONTENTS[:2]}

    def respond(request: httpx.Request) -> httpx.Response:
        # As Prism does: the first type of the Accept header that the document has.
        media_type = request.headers["accept"].partition(",")[0]
        if media_type == "text/event-stream":
            headers = {"Content-Type": media_type}
            return httpx.Response(200, content=examples[media_type].encode(), headers=headers)
        return httpx.Response(200, json=examples["application/json"])

    requests = in_memory(monkeypatch, respond)
    outcome = ask(way)
    assert (outcome.text, outcome.error) == ("Hello! How can I help you?", None)
    usage = outcome.response.usage()
    assert (usage.input, usage.output) == (13, 8)
    assert len(requests) == 1
