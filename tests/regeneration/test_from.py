"""scripts/regenerate --from, as a person runs it when EvoLink changed its page."""

import hashlib
import json
import re
import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from regeneration.validation import load_yaml

from .conftest import PUBLISHED, ROOT, Pages, Workspace, files

ADDRESS = tomllib.loads((ROOT / "openapi/SOURCE.toml").read_text())["address"]
NOTHING = "nothing to do: it is the document that openapi/ has\n"
USER = """\
        user:
          type: string
          maxLength: 64
    ChatCompletionResponse:
"""


@pytest.fixture
def workspace(workspace: Workspace) -> Workspace:
    """The workspace, with the client that its document generates."""
    shutil.copytree(ROOT / "generated_client", workspace.client, dirs_exist_ok=True)
    return workspace


def everything(workspace: Workspace) -> dict[str, bytes]:
    return files(workspace.openapi) | files(workspace.client)


def change(workspace: Workspace, *arguments: str | Path) -> tuple[list[str], list[str]]:
    """Run with --from, and return the lines of stdout and of stderr."""
    done = workspace.run("--from", *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr.splitlines()


def stopped(workspace: Workspace, *arguments: str | Path) -> tuple[str, str]:
    """Run with --from, and return stdout and stderr when it stopped and wrote nothing."""
    before = everything(workspace)
    done = workspace.run("--from", *map(str, arguments))
    assert (done.returncode, everything(workspace)) == (1, before)
    return done.stdout, done.stderr


def assert_taken(workspace: Workspace, document: bytes, address: str) -> None:
    assert (workspace.openapi / PUBLISHED).read_bytes() == document
    assert (workspace.openapi / "SOURCE.toml").read_text() == (
        f"# Where {PUBLISHED} came from. "
        "scripts/regenerate refuses a file whose sha256 differs.\n"
        f'address = "{address}"\n'
        f"date = {datetime.now(UTC).date()}\n"
        f'sha256 = "{hashlib.sha256(document).hexdigest()}"\n'
    )
    assert workspace.run("--check").stdout == "generated_client is what the document generates\n"


def test_the_same_page_again(workspace: Workspace) -> None:
    before = everything(workspace)
    for arguments in ([workspace.page()], [workspace.openapi / PUBLISHED, "--dry-run"]):
        assert change(workspace, *arguments) == ([NOTHING.strip()], [])
    assert everything(workspace) == before


def test_an_optional_parameter_and_a_server(workspace: Workspace) -> None:
    page = workspace.page(
        "    ChatCompletionResponse:\n", USER,
        "  - url: https://api.evolink.ai\n",
        "  - url: https://api.evolink.ai\n  - url: https://eu.evolink.ai\n",
    )  # fmt: skip
    expected = [
        "ChatCompletionQuickRequest.user: added, string, maxLength 64, optional",
        "server https://eu.evolink.ai: added",
        "1 text changed",
        f"generated_client: {len(files(workspace.client))} files, 3 changed",
        "  changed  client.py",
        "  changed  models/chat_completion_quick_request.py",
        "  changed  openapi.json",
    ]
    before = everything(workspace)
    # The text of api.evolink.ai is now that of eu.evolink.ai.
    assert change(workspace, page, "--dry-run") == ([*expected, "nothing was written"], [])
    assert everything(workspace) == before
    assert change(workspace, page) == (expected, [])
    document = page.read_bytes().partition(b"completions\n")[2].removesuffix(b"````")
    assert_taken(workspace, document, ADDRESS)
    request = (workspace.client / "models/chat_completion_quick_request.py").read_text()
    assert "    user: str | Unset = UNSET\n" in request
    assert '    "https://eu.evolink.ai",\n' in (workspace.client / "client.py").read_text()
    assert change(workspace, page) == ([NOTHING.strip()], [])


def test_an_address(workspace: Workspace, pages: Pages) -> None:
    page = workspace.page("          minItems: 1\n", "          minItems: 2\n", fence="~~~")
    address = pages.put("/ko/page.md", page.read_bytes(), Content_Type="text/markdown")
    out, err = change(workspace, address)
    assert (out[0], err) == (
        "ChatCompletionQuickRequest.messages: minItems 2, was 1 (breaking)",
        [],
    )
    document = page.read_bytes().partition(b"completions\n")[2].removesuffix(b"~~~")
    assert_taken(workspace, document, address.removesuffix(".md"))


def test_crlf_is_kept_and_says_nothing(workspace: Workspace) -> None:
    page = workspace.page(newline="\r\n")
    out, err = change(workspace, page)
    assert (out[0], out[1][-10:], err) == ("the same document, written otherwise", " 0 changed", [])
    document = page.read_bytes().partition(b"completions\r\n")[2].removesuffix(b"````")
    assert document.count(b"\r\n") > 300
    assert_taken(workspace, document, ADDRESS)


def test_json_is_kept(workspace: Workspace) -> None:
    document = load_yaml((workspace.openapi / PUBLISHED).read_bytes(), PUBLISHED)
    source = workspace.folder / "page.md"
    source.write_text(json.dumps(document, indent="\t"))
    out, err = change(workspace, source)
    assert (out[0], out[1][-10:], err) == ("the same document, written otherwise", " 0 changed", [])
    assert_taken(workspace, source.read_bytes(), ADDRESS)


def test_a_removed_field_and_a_renamed_operation(workspace: Workspace) -> None:
    page = workspace.page(
        "createChatCompletionQuick", "createChatCompletion",
        "            param:\n              type: string\n"
        "              description: 관련 매개변수 이름\n", "",
        "채팅 메시지 목록", "메시지",
    )  # fmt: skip
    out, err = change(workspace, page, "--dry-run")
    assert out[:7] == [
        "operation createChatCompletionQuick: renamed to createChatCompletion (breaking)",
        "ErrorResponse.error.param: removed (breaking)",
        "1 text changed",
        f"generated_client: {len(files(workspace.client))} files, 5 changed",
        "  added    api/chat_completion/create_chat_completion.py",
        "  removed  api/chat_completion/create_chat_completion_quick.py",
        "  changed  models/chat_completion_quick_request.py",
    ]
    assert err == [
        "Warning: 1-english.yaml, action 13: "
        '$.components.schemas..[?@.description == "채팅 메시지 목록"] '
        "matches nothing; the published text stays",
        "Warning: 1-english.yaml, action 22: "
        '$.components.schemas..[?@.description == "관련 매개변수 이름"] '
        "matches nothing; the published text stays",
    ]


def test_a_page_in_another_language(workspace: Workspace) -> None:
    page = workspace.page()
    hangul = re.compile("[\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff]+")
    page.write_text(hangul.sub("words", page.read_text()))
    out, err = change(workspace, page, "--dry-run")
    assert re.fullmatch(r"\d\d texts changed", out[0])
    assert out[1].startswith("generated_client: ")
    assert {line.partition(",")[0] for line in err} == {"Warning: 1-english.yaml"}


def test_what_an_overlay_changes_too_is_a_warning(workspace: Workspace) -> None:
    page = workspace.page(
        "    ChatCompletionResponse:\n",
        "        temperature:\n          type: number\n          minimum: 0\n"
        "          maximum: 1\n    ChatCompletionResponse:\n",
    )
    out, err = change(workspace, page, "--dry-run")
    assert out[0] == "ChatCompletionQuickRequest.temperature: added, number 0 to 1, optional"
    assert err == [
        "Warning: ChatCompletionQuickRequest.temperature changed, and an overlay changes it too"
    ]


def test_every_action_that_no_longer_fits_is_named(workspace: Workspace) -> None:
    page = workspace.page(
        "tags:\n  - name: 채팅 완성\n    description: AI 채팅 완성 관련 API\n", "",
        "        input_tokens_details:\n          type: object\n          nullable: true\n",
        "        input_details:\n          type: object\n",
        "            - user\n", "            - user\n            - system\n",
    )  # fmt: skip
    out, err = stopped(workspace, page)
    assert out == (
        "MessageSimple.role: enum gains system\n"
        "Usage.input_tokens_details: removed (breaking)\n"
        "Usage.input_details: added, object, optional\n"
        "1 text changed\n"
    )
    assert err == (
        "Error: 3 actions no longer fit the document:\n"
        "  2-corrections.yaml, action 1 (The tag is Korean, so the generator would name the "
        "module in Hangul; take the published tag out.): $.tags matches nothing\n"
        "  2-corrections.yaml, action 6 (nullable is OpenAPI 3.0; the document declares 3.1.0, "
        "where null is a type. Take it out.): "
        "$.components.schemas.Usage.properties.input_tokens_details matches nothing\n"
        "  3-extensions.yaml, action 1 (Roles system and assistant (reference), tool (format).): "
        "$['components']['schemas']['MessageSimple']['properties']['role']['enum'] "
        'already has "system"\n'
    )


def test_a_failure_of_the_generator(workspace: Workspace) -> None:
    out, err = stopped(
        workspace,
        workspace.page(
            "        required: true\n        content:\n          application/json:",
            "        required: true\n        content:\n          application/xml:",
        ),
    )
    assert out == (
        "createChatCompletionQuick request application/json: removed (breaking)\n"
        "createChatCompletionQuick request application/xml: "
        "added, ChatCompletionQuickRequest\n"
    )
    assert err == (
        "Error: openapi-python-client: WARNING parsing POST /v1/chat/completions within "
        "chat_completion. Endpoint will not be generated.: "
        "Unsupported content type application/xml\n"
    )


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
def test_a_source_that_is_none(workspace: Workspace, source: str, message: str) -> None:
    assert stopped(workspace, source) == ("", f"Error: {message}\n")


def test_an_edited_document_is_not_replaced(workspace: Workspace) -> None:
    page = workspace.page()
    with (workspace.openapi / PUBLISHED).open("a") as document:
        document.write("# edited\n")
    assert stopped(workspace, page)[1].startswith(
        f"Error: {PUBLISHED} is not the file SOURCE.toml describes"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "page.md", "--check"],
         "--check changes nothing: give it without --from, or --dry-run with it"),
        (["--dry-run"], "--dry-run goes with --from; without it, --check writes nothing"),
        (["--from"], "argument --from: expected one argument"),
    ],
)  # fmt: skip
def test_arguments_that_contradict(
    workspace: Workspace, arguments: list[str], message: str
) -> None:
    done = workspace.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(f"scripts/regenerate: error: {message}\n")
