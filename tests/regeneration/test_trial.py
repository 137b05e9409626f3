"""The trial of a new client: a type check, and prompts to the sandbox of its document."""

import shutil
from pathlib import Path

import pytest
from regeneration import trial
from regeneration.trial import prompt_failures, try_client


@pytest.fixture
def scratch(tmp_path: Path, frozen_client: Path) -> Path:
    shutil.copytree(frozen_client, tmp_path / "generated_client")
    return tmp_path


def test_a_client_that_does_not_fit(scratch: Path) -> None:
    request = scratch / "generated_client/models/chat_completion_quick_request.py"
    text = request.read_text()
    field = "    messages: list[MessageSimple]\n"
    assert text.count(field) == 1
    request.write_text(text.replace(field, f"{field}    region: str\n"))
    missing = "TypeError: ChatCompletionQuickRequest.__init__() missing 1 required positional "
    missing += "argument: 'region'"
    failures = try_client(scratch)
    assert failures[:3] == [f"{name}: {missing}" for name in ("prompt", "stream", "tool chain")]
    types = failures[3:]
    assert [line for line in types if line.startswith("type check: llm_evolink/chat/request.py:")]
    error = 'error: Missing positional argument "region" in call to "ChatCompletionQuickRequest"'
    assert [line for line in types if error not in line] == []


def test_a_sandbox_that_does_not_start(scratch: Path) -> None:
    (scratch / "generated_client/openapi.json").write_text("{}")
    assert prompt_failures(scratch) == ["prompts: KeyError: 'paths'"]


CHANGES = (
    # Model, options, fields.
    ("            - gemini-3.5-flash\n",
     "            - gemini-3.5-flash\n            - gemini-9\n"),
    ("          default: gemini-3.5-flash\n", ""),
    ("    ChatCompletionResponse:\n",
     "        top_k: {type: integer, minimum: 1, maximum: 100, description: Top-K}\n"
     "        generation_config: {type: object, properties: {topK: {type: integer}}}\n"
     "      additionalProperties: false\n    ChatCompletionResponse:\n"),
    ("            - user\n", "            - user\n            - developer\n"),
    # Replies: nothing that the client sees.
    ("            - content_filter\n", "            - content_filter\n            - safety\n"),
    ("          description: AI 응답 메시지 내용\n",
     "          nullable: true\n          description: AI 응답 메시지 내용\n"),
    ("          type: object\n          nullable: true\n", "          type: [object, 'null']\n"),
    ("        total_tokens:\n", "        cost: {type: number}\n        total_tokens:\n"),
    # A body of another type.
    ("#/components/schemas/ChatCompletionQuickRequest'\n",
     "#/components/schemas/ChatCompletionQuickRequest'\n          multipart/form-data:\n"
     "            schema: {type: object, properties: {file: {type: string, format: binary}}}\n"),
    # Required fields of a reply: a server may still leave them out.
    ("    ChatCompletionResponse:\n      type: object\n",
     "    ChatCompletionResponse:\n      type: object\n      required: [id, usage]\n"),
    # Errors without an example, with examples, behind a reference, with any status.
    ("        '503':\n",
     "        '529':\n          description: Overloaded\n          content:\n"
     "            application/json:\n"
     "              schema: {$ref: '#/components/schemas/ErrorResponse'}\n"
     "        '418': {$ref: '#/components/responses/Teapot'}\n"
     "        default: {description: Any other error}\n        '503':\n"),
    ("              example:\n                error:\n                  code: 400\n",
     "              examples: {a: {value: {error: {code: 400, message: Bad}}}}\n"
     "              x-example:\n                error:\n                  code: 400\n"),
    ("components:\n", "components:\n  responses:\n    Teapot: {description: A teapot}\n"),
    # Operations.
    ("      operationId: createChatCompletionQuick\n",
     "      operationId: createChat\n      deprecated: true\n      security: [{bearerAuth: []}]\n"
     "      parameters: [{name: X-Id, in: header, schema: {type: string}}]\n"),
    ("paths:\n",
     "paths:\n  /v1/models:\n    get:\n      tags: [채팅 완성]\n      operationId: listModels\n"
     "      responses: {'200': {description: ok, content: {application/json: {schema:\n"
     "        {type: object, title: 목록, properties: {data: {type: array, items: {type: object}}\n"
     "        }}}}}}\n"),
    ("  - url: https://api.evolink.ai\n", "  - url: https://api.evolink.ai/\n"),
)  # fmt: skip

REPORT = """\
operation createChatCompletionQuick: deprecated true, was none
ChatCompletionQuickRequest.model: enum gains gemini-9
ChatCompletionQuickRequest.model: default none, was gemini-3.5-flash (breaking)
MessageSimple.role: enum gains developer
createChatCompletionQuick parameter X-Id (header): added, string, optional
createChatCompletionQuick response 529: added
createChatCompletionQuick response 418: added
createChatCompletionQuick response default: added
createChatCompletionQuick request multipart/form-data: added, object
operation listModels: added, GET /v1/models
ChatCompletionQuickRequest.top_k: added, integer 1 to 100, optional
ChatCompletionQuickRequest.generation_config: added, object, optional
Usage.cost: added, number, optional
operation createChatCompletionQuick: renamed to createChat; the client stays as it was
ChatCompletionQuickRequest: additionalProperties false, was none; the client stays as it was
ChatCompletionResponse.id: required, was optional; the client stays as it was
ChatCompletionResponse.usage: required, was optional; the client stays as it was
Choice.finish_reason: enum gains safety; the client stays as it was
AssistantMessage.content: type string or null, was string; the client stays as it was
plugin: model gemini-9 is offered
plugin: option top_k is offered, integer 1 to 100
plugin: createChatCompletionQuick parameter X-Id (header) is not used
plugin: createChatCompletionQuick request multipart/form-data is not used
plugin: operation listModels is not used
plugin: ChatCompletionQuickRequest.generation_config is not used
plugin: Usage.cost is not used
"""


@pytest.mark.parametrize(
    ("out", "err", "line"),
    [
        ("", "Traceback …\nTypeError: boom\n", "prompts: TypeError: boom"),
        ("one\ntwo\n", "", "prompts: two"),
        ("", "", "prompts: exit code -9"),
    ],
)
def test_prompts_that_could_not_be_tried(monkeypatch, tmp_path: Path, out, err, line) -> None:
    monkeypatch.setattr(trial, "_run", lambda *_, **__: (-9, out, err))

    assert trial.prompt_failures(tmp_path) == [line]


def test_a_document_with_many_changes_is_accepted(generated) -> None:
    page = generated.page(*(text for change in CHANGES for text in change))
    done = generated.run("--from", str(page))
    assert done.returncode == 0, done.stderr
    report = done.stdout.splitlines()
    assert [line for line in REPORT.splitlines() if line not in report] == []
    breaking = [line for line in report if "breaking" in line]
    assert breaking == [line for line in REPORT.splitlines() if "breaking" in line]
    for obsolete in ("2-corrections.yaml, action 5", "2-corrections.yaml, action 6"):
        assert f"Note: {obsolete} is obsolete: " in done.stderr
    client = generated.client
    assert (client / "api/chat_completion/list_models.py").exists()
    assert [path for path in client.rglob("*") if not str(path.name).isascii()] == []
    assert 'MODELS: tuple[str, ...] = ("gemini-3.5-flash", "gemini-9")' in (
        client / "__init__.py"
    ).read_text().replace("(\n    ", "(").replace(",\n    ", ", ").replace(",\n)", ")")
