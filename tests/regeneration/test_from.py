"""scripts/regenerate --from, for a page that EvoLink changed."""

import hashlib
import json
import re
import shutil
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from regeneration import generator, trial, update, vendored
from regeneration.validation import load_yaml
from regeneration.vendored import PUBLISHED, Effective, vendored_document, with_overlays

FROZEN = Path(__file__).parent / "frozen"
URL = tomllib.loads((FROZEN / "SOURCE.toml").read_text())["url"]
NOTHING = "nothing to do: openapi/ has this document\n"
SAME = "the same document, written differently"
REFUSED = "the document is refused and nothing was written (--force writes it nevertheless):"
USER = """\
        user:
          type: string
          maxLength: 64
    ChatCompletionResponse:
"""
TEMPERATURE = """\
        temperature:
          type: number
          minimum: 0
          maximum: 1
          default: 0.7
          description: 온도
    ChatCompletionResponse:
"""
REGION = """\
        region:
          type: string
          enum: [eu, us]
    ChatCompletionResponse:
"""


def key_of(effective: Effective) -> str:
    return json.dumps([effective.document, effective.models, effective.former_models])


@pytest.fixture(scope="module")
def generate_once(
    tmp_path_factory: pytest.TempPathFactory, frozen_client: Path
) -> Callable[..., None]:
    """A generate_client that copies the client of a document that it generated before."""
    generate_client = generator.generate_client
    frozen = with_overlays(vendored_document(FROZEN), FROZEN)
    clients = {key_of(frozen): frozen_client}

    def generate(effective: Effective, openapi: Path, target: Path) -> None:
        key = key_of(effective)
        if key in clients:
            shutil.copytree(clients[key], target)
            return
        generate_client(effective, openapi, target)
        clients[key] = tmp_path_factory.mktemp("client") / "generated_client"
        shutil.copytree(target, clients[key])

    return generate


@pytest.fixture
def workspace(generated, generate_once: Callable[..., None], monkeypatch: pytest.MonkeyPatch):
    """A workspace without trial and validation; test_trial.py and test_vendored.py test these."""
    monkeypatch.setattr(trial, "try_client", lambda scratch: [])
    for module in (update, vendored):
        monkeypatch.setattr(module, "validate", lambda document, name: None)
    monkeypatch.setattr(generator, "generate_client", generate_once)
    return generated


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let today be 2026-11-20."""
    clock = SimpleNamespace(now=lambda zone: datetime(2026, 11, 20, tzinfo=zone))
    monkeypatch.setattr(vendored, "datetime", clock)


def change(workspace, *arguments: str | Path) -> tuple[list[str], list[str]]:
    """Run with --from, and return the lines of stdout and of stderr."""
    done = workspace.run("--from", *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def stopped(workspace, *arguments: str | Path) -> tuple[str, list[str]]:
    """Run with --from; it stops and writes nothing. Return stdout and the lines of stderr."""
    before = workspace.files()
    done = workspace.run("--from", *map(str, arguments))
    assert (done.returncode, workspace.files()) == (1, before)
    return done.stdout, done.stderr.splitlines()


def assert_written(workspace, document: bytes, url: str) -> None:
    assert (workspace.openapi / PUBLISHED).read_bytes() == document
    assert (workspace.openapi / "SOURCE.toml").read_text() == (
        f"# Where {PUBLISHED} came from. "
        "scripts/regenerate refuses a file whose sha256 differs.\n"
        f'url = "{url}"\n'
        "date = 2026-11-20\n"
        f'sha256 = "{hashlib.sha256(document).hexdigest()}"\n'
    )
    assert workspace.run("--check").stdout == "generated_client is what the document generates\n"


def test_the_same_page_again(workspace) -> None:
    before = workspace.files()
    for arguments in ([workspace.page()], [workspace.openapi / PUBLISHED, "--dry-run"]):
        assert change(workspace, *arguments) == ([NOTHING.strip()], [])
    assert workspace.files() == before


def test_an_option_and_a_server(workspace, files) -> None:
    page = workspace.page(
        "    ChatCompletionResponse:\n", USER,
        "  - url: https://api.evolink.ai\n",
        "  - url: https://api.evolink.ai\n  - url: https://eu.evolink.ai\n",
    )  # fmt: skip
    expected = [
        "ChatCompletionQuickRequest.user: added, string, maxLength 64, optional",
        "server https://eu.evolink.ai: added",
        "plugin: option user is offered, string, maxLength 64",
        'server https://eu.evolink.ai: description "Alternative URL"',
        f"generated_client: {len(files(workspace.client))} files, 4 changed",
        "  changed  client.py",
        "  changed  models/chat_completion_quick_request.py",
        "  changed  openapi.json",
        "  changed  request_fields.py",
    ]
    before = workspace.files()
    allowed = ("--allow-server", "eu.evolink.ai")
    assert change(workspace, page, *allowed, "--dry-run") == (
        [*expected, "nothing was written"],
        [],
    )
    assert workspace.files() == before
    assert change(workspace, page, *allowed) == (expected, [])
    document = page.read_bytes().partition(b"completions\n")[2].removesuffix(b"````")
    assert_written(workspace, document, URL)
    request = (workspace.client / "models/chat_completion_quick_request.py").read_text()
    assert "    user: str | Unset = UNSET\n" in request
    assert '    "https://eu.evolink.ai",\n' in (workspace.client / "client.py").read_text()
    assert change(workspace, page) == ([NOTHING.strip()], [])


MODEL_FIELD = """\
          type: string
          description: 채팅 모델 이름
          enum:
            - gemini-3.5-flash
"""
MODEL_ID = """\
    ModelId:
      type: string
      enum: [gemini-3.5-flash, gemini-9]
    ChatCompletionResponse:
"""


@pytest.mark.parametrize(
    "field",
    ["          $ref: '#/components/schemas/ModelId'\n",
     "          allOf: [{$ref: '#/components/schemas/ModelId'}]\n"],
)  # fmt: skip
def test_the_model_is_any_text_also_where_its_values_are_a_schema_of_their_own(
    workspace, field: str
) -> None:
    page = workspace.page(MODEL_FIELD, field, "    ChatCompletionResponse:\n", MODEL_ID)
    assert "plugin: model gemini-9 is offered" in change(workspace, page)[0]
    request = (workspace.client / "models/chat_completion_quick_request.py").read_text()
    assert '    model: str = "gemini-3.5-flash"\n' in request


def test_the_fields_of_a_request_of_several_schemas_are_known(workspace) -> None:
    page = workspace.page(
        "    ChatCompletionQuickRequest:\n      type: object\n      required:\n",
        "    ChatCompletionQuickRequest:\n      allOf: [{$ref: '#/components/schemas/Base'}]\n"
        "    Base:\n      type: object\n      required:\n",
    )
    out, err = change(workspace, page, "--force", "--dry-run")
    assert [line for line in out if line.startswith("plugin: model")] == []
    assert misfits(err) == [f"3-extensions {number}" for number in (4, 5, 6)]


def test_a_model_that_leaves_the_document_stays_known(workspace) -> None:
    name = "            - gemini-3.5-flash\n"
    page = workspace.page(name, f"{name}            - gemini-9\n")
    assert "plugin: model gemini-9 is offered" in change(workspace, page)[0]
    page = workspace.page("            - gemini-9\n", "")
    assert change(workspace, page)[0][:2] == [
        "ChatCompletionQuickRequest.model: enum loses gemini-9 (breaking)",
        "plugin: model gemini-9 is gone: a prompt to it fails",
    ]
    record = (workspace.openapi / "SOURCE.toml").read_text()
    assert record.endswith('\nformer_models = ["gemini-9"]\n')
    assert 'FORMER_MODELS: tuple[str, ...] = ("gemini-9",)' in (
        workspace.client / "__init__.py"
    ).read_text("utf-8")
    assert workspace.run("--check").returncode == 0
    change(workspace, workspace.page(name, f"{name}            - gemini-9\n"))
    assert "gemini-9" not in (workspace.openapi / "SOURCE.toml").read_text()


def test_a_model_with_any_name_leaves_the_document(workspace) -> None:
    name = "            - gemini-3.5-flash\n"
    other = r"""            - "gemini-🎉\x7f\\\"\n"
"""
    change(workspace, workspace.page(name, name + other))
    change(workspace, workspace.page(other, ""))
    record = tomllib.loads((workspace.openapi / "SOURCE.toml").read_text("utf-8"))
    assert record["former_models"] == ['gemini-🎉\x7f\\"\n']
    assert workspace.run("--check").returncode == 0


def test_a_new_server_is_refused(workspace) -> None:
    page = workspace.page("https://direct.evolink.ai", "https://evil.example")
    out, err = stopped(workspace, page, "--force")
    assert (out, len(err)) == ("", 1)
    assert err[0].startswith(
        "Error: server evil.example is new, and the first: prompts and the API"
    )


def test_a_url(workspace, pages) -> None:
    page = workspace.page("    ChatCompletionResponse:\n", REGION, fence="~~~")
    url = pages.put("/ko/page.md", page.read_bytes(), content_type="text/markdown")
    out, err = change(workspace, url)
    assert (out[0], err) == (
        "ChatCompletionQuickRequest.region: added, string, one of eu, us, optional",
        [],
    )
    document = page.read_bytes().partition(b"completions\n")[2].removesuffix(b"~~~")
    assert_written(workspace, document, url.removesuffix(".md"))


def test_crlf_is_kept(workspace) -> None:
    page = workspace.page(newline="\r\n")
    out, err = change(workspace, page)
    assert (out[0], out[1][-10:], err) == (SAME, " 0 changed", [])
    document = page.read_bytes().partition(b"completions\r\n")[2].removesuffix(b"````")
    assert document.count(b"\r\n") > 300
    assert (workspace.openapi / PUBLISHED).read_bytes() == document


def test_json_in_another_order_is_kept(workspace) -> None:
    document = load_yaml((workspace.openapi / PUBLISHED).read_bytes(), PUBLISHED)
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = dict(reversed(schemas.items()))
    source = workspace.folder / "page.md"
    source.write_text(json.dumps(document, indent="\t"))
    out, err = change(workspace, source)
    assert (out[0], out[1][-10:], err) == (SAME, " 0 changed", [])
    assert_written(workspace, source.read_bytes(), URL)


def test_a_page_in_another_language(workspace) -> None:
    page = workspace.page()
    hangul = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]+")
    page.write_text(hangul.sub("words", page.read_text()))
    out, err = change(workspace, page, "--prune")
    assert 'ChatCompletionQuickRequest.messages: description "words words words"' in out
    assert "To translate the new texts, add to overlays/1-english.yaml:" not in out
    assert "  pruned   overlays/1-english.yaml" in out
    assert err == []
    english = load_yaml((workspace.openapi / "overlays/1-english.yaml").read_bytes(), "x")
    # Those of texts that are in English already, and of schemas without a description.
    assert len(english["actions"]) < 15
    assert change(workspace, page, "--prune") == ([NOTHING.strip()], [])


def test_a_new_text_has_an_action_for_its_translation(workspace) -> None:
    page = workspace.page("채팅 메시지 목록", "새 '텍스트'")
    out, err = change(workspace, page)
    assert out[:4] == [
        "ChatCompletionQuickRequest.messages: description \"새 '텍스트'\"",
        "To translate the new texts, add to overlays/1-english.yaml:",
        "  - target: '$..[?@.description == \"새 ''텍스트''\"]'",
        '    update: {"description": "ENGLISH TEXT"}',
    ]
    assert err == [
        "Note: 1-english.yaml, action 13 is obsolete: no such text is published",
        "Note: To delete these actions: scripts/regenerate --from PAGE --prune",
    ]
    english = workspace.openapi / "overlays/1-english.yaml"
    english.write_text(english.read_text() + "\n".join(out[2:4]) + "\n")
    out, err = change(workspace, page, "--prune")
    assert out[-1] == "  pruned   overlays/1-english.yaml"
    # The document is unchanged, so that nothing is tried; the client has the translation.
    request = (workspace.client / "models/chat_completion_quick_request.py").read_text()
    assert "ENGLISH TEXT" in request
    assert workspace.run("--check").stderr == ""


def test_a_published_field_replaces_ours(workspace) -> None:
    page = workspace.page("    ChatCompletionResponse:\n", TEMPERATURE)
    out, err = change(workspace, page, "--dry-run")
    assert out[:6] == [
        "ChatCompletionQuickRequest.temperature: maximum 1, was 2 (breaking)",
        "plugin: option temperature is now number 0 to 1, was number 0 to 2: the bound is enforced",
        'ChatCompletionQuickRequest.temperature: description "온도"',
        "To translate the new texts, add to overlays/1-english.yaml:",
        "  - target: '$..[?@.description == \"온도\"]'",
        '    update: {"description": "Randomness of the answer, 0 (least) to 2."}',
    ]
    assert err[0] == (
        "Note: 3-extensions.yaml, action 4 is superseded: EvoLink publishes $['components']"
        "['schemas']['ChatCompletionQuickRequest']['properties']['temperature'] as "
        '{"default": 0.7, "maximum": 1, "minimum": 0, "type": "number"}, which is used; ours is '
        '{"maximum": 2, "minimum": 0, "type": "number"}'
    )
    out, err = change(workspace, page, "--prune")
    assert (out[-1], err) == ("  pruned   overlays/3-extensions.yaml", [])
    assert "temperature:" not in (workspace.openapi / "overlays/3-extensions.yaml").read_text()
    request = json.loads((workspace.client / "openapi.json").read_text())["components"]["schemas"]
    assert request["ChatCompletionQuickRequest"]["properties"]["temperature"] == {
        "type": "number", "minimum": 0, "maximum": 1, "description": "온도",
    }  # fmt: skip


def test_every_action_that_does_not_fit_is_named(workspace) -> None:
    page = workspace.page(
        "        completion_tokens_details:\n", "        completion_details:\n",
        "        prompt_tokens_details:\n          type: object\n"
        "          description: 상세 입력 토큰 정보\n",
        "        prompt_tokens_details:\n          $ref: '#/components/schemas/Choice'\n"
        "        prompt_details:\n          type: object\n",
    )  # fmt: skip
    out, err = stopped(workspace, page)
    assert out.splitlines()[0] == "Usage.prompt_tokens_details: type Choice, was object"
    assert [line for line in err if not line.startswith("Note: ")] == [
        f"Error: {REFUSED}",
        "  2-corrections.yaml, action 16: (The details are null where a server does not count them "
        "(precaution).) $['components']['schemas']['Usage']['properties']['prompt_tokens_details'] "
        "is a $ref to #/components/schemas/Choice: change what it refers to",
        "  2-corrections.yaml, action 17: (The details are null where a server does not count them "
        "(precaution).) $.components.schemas.Usage[?@.completion_tokens_details.type == 'object']"
        ".completion_tokens_details matches nothing",
    ]
    _, err = change(workspace, page, "--force")
    assert [line[:49] for line in err if "Warning" in line] == [
        "Warning: 2-corrections.yaml, action 16: (The deta",
        "Warning: 2-corrections.yaml, action 17: (The deta",
    ]


def misfits(lines: list[str]) -> list[str]:
    """Return the overlay actions that the lines name as not fitting."""
    found = (re.search(r"([\w-]+)\.yaml, action (\d+): ", line) for line in lines)
    return [f"{each[1]} {each[2]}" for each in found if each]


def test_a_path_that_moved(workspace) -> None:
    page = workspace.page("  /v1/chat/completions:\n", "  /v2/chat/completions:\n")
    moved = "moved to POST /v2/chat/completions, was POST /v1/chat/completions"
    out, err = stopped(workspace, page)
    assert out == f"operation createChatCompletionQuick: {moved}\n"
    corrections = ["2-corrections 5", "2-corrections 8"]
    extensions = [f"3-extensions {number}" for number in (14, 15, 16, 17)]
    assert misfits(err) == [*corrections, *extensions, "4-pins 1"]
    _, err = change(workspace, page, "--force")
    assert misfits(err) == [*corrections, *extensions, "4-pins 1"]
    operation = workspace.client / "api/chat_completion/create_chat_completion_quick.py"
    assert '"url": "/v2/chat/completions"' in operation.read_text()


def test_a_schema_that_is_no_longer_named(workspace) -> None:
    """What refers to it in an overlay does not fit; --force leaves it out."""
    document = load_yaml((workspace.openapi / PUBLISHED).read_bytes(), PUBLISHED)
    schemas = document["components"]["schemas"]
    schemas["ChatCompletionResponse"]["properties"]["usage"] = schemas.pop("Usage")
    source = workspace.folder / "page.md"
    source.write_text(json.dumps(document))
    out, err = stopped(workspace, source)
    assert "ChatCompletionResponse.usage: type object, was anything" in out.splitlines()
    expected = [f"2-corrections {number}" for number in (6, 7, 16, 17, 19)]
    expected += [f"3-extensions {number}" for number in (13, 14, 17)]
    assert misfits(err) == expected
    assert any("its $ref #/components/schemas/Usage leads nowhere" in line for line in err)
    _, err = change(workspace, source, "--force")
    assert misfits(err) == expected
    assert not (workspace.client / "models/usage.py").exists()


def test_a_failed_trial_is_printed(workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "try_client", lambda scratch: ["stream: one", "type check: two"])
    page = workspace.page("    ChatCompletionResponse:\n", REGION)
    for arguments in ([], ["--dry-run"]):
        out, err = stopped(workspace, page, *arguments)
        assert out.splitlines() == [
            "ChatCompletionQuickRequest.region: added, string, one of eu, us, optional",
            "plugin: option region is offered, string, one of eu, us",
        ]
        assert err == [f"Error: {REFUSED}", "  stream: one", "  type check: two"]
    _, err = change(workspace, page, "--force")
    assert err == ["Warning: stream: one", "Warning: type check: two"]
    assert "region" in (workspace.openapi / PUBLISHED).read_text()


@pytest.mark.parametrize(
    ("replacements", "message"),
    [
        (("            - gemini-3.5-flash\n", "            - gemini-3.1-pro\n",
          "          default: gemini-3.5-flash\n", "          default: gemini-3.1-pro\n"),
         "is the page of another model, gemini-3.1-pro: give the quickstart page of "
         "gemini-3.5-flash"),
        (("    ChatCompletionQuickRequest:\n", "    ChatCompletionRequest:\n",
          "'#/components/schemas/ChatCompletionQuickRequest'",
          "'#/components/schemas/ChatCompletionRequest'"),
         "is EvoLink's full reference page, whose schemas have other names: give the quickstart "
         "page of gemini-3.5-flash"),
    ],
)  # fmt: skip
def test_another_page(workspace, replacements: tuple[str, ...], message: str) -> None:
    page = workspace.page(*replacements)
    assert stopped(workspace, page) == ("", [f"Error: {page} {message}"])


def test_a_request_that_the_generator_does_not_support(workspace) -> None:
    page = workspace.page(
        "        required: true\n        content:\n          application/json:",
        "        required: true\n        content:\n          application/xml:",
    )
    _, err = stopped(workspace, page, "--force")
    assert "no enum and no default" in err[-1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("missing.md", "missing.md: No such file or directory"),
        (".", ".: Is a directory"),
        ("http://docs.example/a", "http://docs.example/a is refused: only https:// is fetched"),
        ("/dev/zero", "/dev/zero is larger than 10 MB"),
        ("/dev/null", "/dev/null holds no OpenAPI document, neither fenced nor bare"),
    ],
)
def test_a_source_without_a_document(workspace, source: str, message: str) -> None:
    assert stopped(workspace, source) == ("", [f"Error: {message}"])


def test_an_edited_document_is_not_replaced(workspace) -> None:
    page = workspace.page()
    with (workspace.openapi / PUBLISHED).open("a") as document:
        document.write("# edited\n")
    assert stopped(workspace, page)[1][0].startswith(
        f"Error: {PUBLISHED} is not the file that SOURCE.toml records"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "page.md", "--check"],
         "--check is without --from; with --from, --dry-run writes nothing"),
        (["--dry-run"], "--dry-run needs --from; without it, --check writes nothing"),
        (["--prune"], "--prune needs --from"),
        (["--allow-server", "x"], "--allow-server needs --from"),
        (["--from"], "argument --from: expected one argument"),
    ],
)  # fmt: skip
def test_arguments_that_contradict(workspace, arguments: list[str], message: str) -> None:
    done = workspace.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"scripts/regenerate: error: {message}\n")
