"""`llm evolink doctor`: its output, and the check of the key."""

import json
import re
import subprocess
from types import SimpleNamespace

import httpx
import pytest

from generated_client import MODELS
from llm_evolink.commands.doctor import checks, finding
from tests import llm_process
from tests.four_ways import KEY, MODEL
from tests.scripted_server import UNREACHABLE, in_memory, replying, serving, time_out

STORED = "sk-stored-0123456789wxyz"

pytestmark = pytest.mark.usefixtures("doctor_environment")


WORD = r"[\w.]+"


def lines(url: str, **changed: tuple[str, str]) -> str:
    """Return the pattern of what the command prints, with these statuses and messages changed."""
    expected = {
        "versions": ("ok", f"llm {WORD}, llm-evolink {WORD}, Python {WORD}, {WORD}"),
        "settings": ("ok", f"EVOLINK_BASE_URL={url}"),
        "key": ("ok", "that of EVOLINK_API_KEY, ending in cdef"),
        "certificates": ("ok", ".+"),
        "server": ("ok", f"{url} connected in [0-9]+ ms"),
        "authentication": ("ok", f"{url} accepts the key"),
        "proxy": ("ok", "none"),
        "model": ("ok", r"gemini-3\.5-flash is EvoLink's"),
        "logging": ("ok", "on"),
        "database": ("ok", r"\S+/logs\.db, not there before the first prompt"),
        "generated client": ("ok", r"it matches openapi\.json, EvoLink's document"),
    }
    assert expected.keys() >= changed.keys()
    rows = {check: [line] for check, line in {**expected, **changed}.items()}
    other = ("(?:ok    |note  )", ".+ is EvoLink's.*")
    rows["model"] = [rows["model"][0] if name == MODEL else other for name in MODELS]
    return "".join(
        f"{status:6}  {check:16}  {message}\n"
        for check, findings in rows.items()
        for status, message in findings
    )


def check_output(done: subprocess.CompletedProcess[str], pattern: str, returncode: int) -> None:
    assert re.fullmatch(pattern, done.stdout), done.stdout
    assert (done.stderr, done.returncode) == ("", returncode)


def test_every_check_is_ok(sandbox, llm_command):
    done = llm_command("evolink", "doctor", fresh=True)

    check_output(done, lines(sandbox.url), 0)
    (request,) = sandbox.requests
    assert request.body == {
        "model": "gemini-3.5-flash",
        "messages": [],
        "max_tokens": 1,
    }


def test_the_help_says_what_the_request_can_cost(llm_in_process):
    done = llm_in_process("evolink", "doctor", "--help")

    words = " ".join(done.stdout.split())
    assert "nothing is generated or billed" in words
    assert "The request allows one token of output, in case a server does not refuse it." in words


def test_an_existing_database_is_named_and_unchanged(sandbox, llm_command, user_path):
    llm_command("-m", "gemini-3.5-flash", "hello")
    before = (user_path / "logs.db").read_bytes()

    done = llm_command("evolink", "doctor")

    database = ("ok", re.escape(f"{user_path}/logs.db"))
    check_output(done, lines(sandbox.url, database=database), 0)
    assert (user_path / "logs.db").read_bytes() == before
    assert {path.name for path in user_path.iterdir()} == {"logs.db"}


def test_a_refused_key_is_broken(sandbox, llm_command):
    done = llm_command("evolink", "doctor", env={"EVOLINK_API_KEY": "invalid"})

    pattern = lines(
        sandbox.url,
        key=("ok", "that of EVOLINK_API_KEY, of 7 characters"),
        authentication=(
            "broken",
            "Invalid or expired token; set another key with: llm keys set "
            rf"evolink \(status 401, request {WORD}\)",
        ),
    )
    check_output(done, pattern, 1)


def test_a_missing_key_and_an_unreachable_server(llm_command):
    done = llm_command("evolink", "doctor", env={"EVOLINK_API_KEY": ""})

    pattern = lines(
        UNREACHABLE,
        key=(
            "broken",
            "No key found - add one using 'llm keys set evolink' or set the "
            "EVOLINK_API_KEY environment variable",
        ),
        server=(
            "broken",
            r"Cannot reach 127\.0\.0\.1:1: .+; check the network, the proxy "
            "and EVOLINK_BASE_URL",
        ),
        authentication=("note", "not checked: there is no key to send"),
    )
    check_output(done, pattern, 1)


def test_json_output(sandbox, llm_command, store):
    store("logs-off", "")

    done = llm_command("evolink", "doctor", "--json")

    all_findings = json.loads(done.stdout)
    assert (done.stderr, done.returncode) == ("", 0)
    assert [finding["check"] for finding in all_findings] == [
        "versions",
        "settings",
        "key",
        "certificates",
        "server",
        "authentication",
        "proxy",
        *("model" for _ in MODELS),
        "logging",
        "database",
        "generated client",
    ]
    assert all_findings[5] == {
        "check": "authentication",
        "status": "ok",
        "message": f"{sandbox.url} accepts the key",
    }
    assert all_findings[-3] == {
        "check": "logging",
        "status": "note",
        "message": "off, so nothing is logged; turn it on with: llm logs on",
    }


@pytest.mark.parametrize("order", ["llm-gemini,llm-evolink", "llm-evolink,llm-gemini"])
def test_a_model_that_llm_gemini_has_too_is_a_note(sandbox, llm_command, order):
    done = llm_command("evolink", "doctor", env={"LLM_LOAD_PLUGINS": order})

    model = (
        "note",
        r"gemini-3\.5-flash is EvoLink's; llm-gemini has it as well, as gemini/gemini-3\.5-flash",
    )
    check_output(done, lines(sandbox.url, model=model), 0)


def test_the_key_is_not_shown_when_a_server_sends_it_back(monkeypatch, llm_command):
    echo = replying(401, {"error": {"message": f"Bad key {KEY}!"}}, x_request_id=KEY)
    with serving(monkeypatch, echo) as server:
        done = llm_command("evolink", "doctor")
        as_json = finding.as_json(checks.examine())

    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert done.returncode == 1
    assert KEY not in done.stdout + done.stderr + as_json
    assert (
        "broken  authentication    Bad key …cdef!; set another key with: llm keys set evolink "
        "(status 401, request …cdef)\n"
    ) in done.stdout


def test_a_read_timeout_is_broken(monkeypatch, llm_in_process):
    def respond(request: httpx.Request) -> httpx.Response:
        sent = SimpleNamespace(method=b"POST")
        request.extensions["trace"]("http11.send_request_headers.started", {"request": sent})
        return time_out(request)

    monkeypatch.setenv("EVOLINK_BASE_URL", UNREACHABLE)
    in_memory(monkeypatch, respond)
    done = llm_in_process("evolink", "doctor")

    timeout = (
        r"No progress from 127\.0\.0\.1 for 600 s; the request may have been billed; "
        r"try again, or .+"
    )
    model = ("(?:ok    |note  )", ".+")  # Other plugins are loaded in this process.
    check_output(done, lines(UNREACHABLE, authentication=("broken", timeout), model=model), 1)


def test_terminal_output_is_coloured_and_wrapped(sandbox, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    done = llm_process.run_in_terminal("evolink", "doctor", files=["stdout"])
    shown = done.stdout

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "\x1b[32mok    \x1b[0m  key               that of EVOLINK_API_KEY, ending in cdef\n"
        in shown
    )
    plain = re.sub(r"\x1b\[\d+m", "", shown).splitlines()
    # A path is not wrapped.
    assert max(len(line) for line in plain if "/logs.db" not in line) <= 70


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_terminal_output_without_colours(sandbox, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    done = llm_process.run_in_terminal("evolink", "doctor")

    assert "\x1b" not in done.stdout
    assert "ok      key               that of EVOLINK_API_KEY, ending in cdef\n" in done.stdout


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, "broken  server            Cannot reach …; check EVOLINK_BASE_URL, or log in there"),
        (90, "broken  server            Cannot reach …; check EVOLINK_BASE_URL, or log in there"),
        (
            68,
            "broken  server            Cannot reach …; check EVOLINK_BASE_URL, or\n"
            "                          log in there",
        ),
        (67, "broken  server\n  Cannot reach …; check EVOLINK_BASE_URL, or log in there"),
        (30, "broken  server\n  Cannot reach …; check\n  EVOLINK_BASE_URL, or log in\n  there"),
        (9, "broken  server\n  Cannot\n  reach\n  …;\n  check\n  EVOLINK_BASE_URL,\n  or log\n"
            "  in\n  there"),
    ],
)  # fmt: skip
def test_a_finding_is_wrapped_to_the_width(width, shown):
    message = "Cannot reach …; check EVOLINK_BASE_URL, or log in there"
    found = finding.Finding("server", "broken", message)

    styled = finding.as_lines(found, width)

    assert styled == shown.replace("broken", "\x1b[31mbroken\x1b[0m")
    ascii_only = finding.as_lines(found, width, "ascii")
    assert ascii_only == styled.replace("…", "?")


def test_a_stored_key(monkeypatch, findings, store):
    store("keys.json", json.dumps({"evolink": STORED}))
    monkeypatch.delenv("EVOLINK_API_KEY")

    assert findings("key") == [("ok", "the one stored in llm, ending in wxyz")]


def test_a_stored_key_and_the_same_in_the_environment(findings, store):
    store("keys.json", json.dumps({"evolink": KEY}))

    assert findings("key") == [("ok", "the one stored in llm, ending in cdef")]


def test_a_stored_key_and_another_in_the_environment(monkeypatch, findings, store):
    store("keys.json", json.dumps({"evolink": STORED}))
    # Neither key is shown, even if the server sends both back.
    body = {"error": {"message": f"{KEY} or {STORED}"}}
    with serving(monkeypatch, replying(401, body)) as server:
        key, authentication = findings("key"), findings("authentication")

    assert server.requests[0].headers["authorization"] == f"Bearer {STORED}"
    assert key == [
        (
            "note",
            "the one stored in llm, ending in wxyz, not that of EVOLINK_API_KEY, ending in cdef; "
            "llm uses the stored one: to use the other, store it with: llm keys set evolink",
        )
    ]
    assert authentication == [
        (
            "broken",
            "…cdef or …wxyz; set another key with: llm keys set evolink (status 401)",
        )
    ]


def test_an_invalid_key_is_broken(monkeypatch, findings):
    monkeypatch.setenv("EVOLINK_API_KEY", "two words")

    assert findings("key") == [
        (
            "broken",
            "The EvoLink key holds a character that no key has: a space, or a quotation mark of an "
            "editor; set another key with: llm keys set evolink",
        )
    ]
    assert findings("authentication") == [("note", "not checked: there is no key to send")]


def test_a_key_in_another_variable_is_not_shown(monkeypatch, findings):
    monkeypatch.setenv("EVOLINK_TIMEOUT", KEY)

    assert not any(KEY in finding.message for finding in checks.examine())
    problem = "EVOLINK_TIMEOUT is not a number from 0.001 to 86400: '…cdef'"
    assert findings("settings") == [("broken", f"{problem}; change it, or unset it")]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        ("null", "a JSON object"),
    ],
)
def test_stored_keys_that_cannot_be_read(user_path, findings, store, content, problem):
    store("keys.json", content)

    assert findings("key") == [
        ("broken", f"{user_path}/keys.json is not {problem}: correct it or remove it")
    ]


def test_a_user_folder_that_cannot_be_created(user_path, findings):
    user_path.write_text("")

    problem = (
        f"{user_path} cannot be used (File exists): change its permissions, move it away, or name "
        "another folder in LLM_USER_PATH"
    )
    for check in ("key", "model", "logging", "database"):
        assert findings(check) == [("broken", problem)]


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (OSError("without a file"), "OSError: without a file"),
    ],
)
def test_a_check_that_fails_is_broken(failure, reason):
    def check():
        raise failure

    assert checks._run(check) == ("broken", f"the check failed: {reason}")
