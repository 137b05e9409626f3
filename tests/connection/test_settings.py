"""Settings from the environment."""

import pytest

from llm_evolink import errors
from llm_evolink.connection import settings
from tests import scripted_server
from tests.four_ways import Way, ask
from tests.scripted_server import answer

pytestmark = pytest.mark.usefixtures("no_clients")


NOT_A_SERVER = "EVOLINK_BASE_URL is not the URL of a server, such as https://direct.evolink.ai: "
VALUES = [
    ("EVOLINK_BASE_URL", value, NOT_A_SERVER + repr(value))
    for value in (
        "direct.evolink.ai",
        "localhost:8787",
        "ftp://direct.evolink.ai",
        "//direct.evolink.ai",
        "https://",
        "https:///v1",
        "http://[::1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "https://a b",
        "https://direct.evolink.ai?x=1",
        "https://direct.evolink.ai#v1",
        "https://direct.evolink.ai?",
        "https://direct.evolink.ai#",
        "https://direct.evolink.ai/\udcff",
        f"https://{'a' * 64}.example",
        "https://a..example",
        "https://.example",
        "https://xn--a.example",
    )
]
VALUES += [
    (
        "EVOLINK_BASE_URL",
        "https://me:secret@direct.evolink.ai",
        "EVOLINK_BASE_URL contains a user name: give the URL without it",
    ),
    *(
        (
            "EVOLINK_BASE_URL",
            f"http://{host}",
            f"EVOLINK_BASE_URL would send the key unencrypted to {host}: use https://, or set "
            "EVOLINK_ALLOW_HTTP=1",
        )
        for host in ("direct.evolink.ai", "192.0.2.1", "localhost.evil.example", "127.0.0.1.nip.io")
    ),
    *(
        (variable, value, f"{variable} is not a number from 0.001 to 86400: {value!r}")
        for variable in ("EVOLINK_TIMEOUT", "EVOLINK_MAX_WAIT")
        for value in ("0", "-1", "nan", "inf", "1e10", "soon", "9" * 40, "60s")
    ),
    *(
        (
            "EVOLINK_MAX_RETRIES",
            value,
            f"EVOLINK_MAX_RETRIES is not a whole number from 0 to 100: {value!r}",
        )
        for value in ("-1", "1.5", "many", "101", "1e2")
    ),
]


@pytest.mark.parametrize(
    ("variable", "value", "line"), VALUES, ids=[f"{case[0]}={case[1][:30]}" for case in VALUES]
)
def test_an_invalid_value_is_refused(monkeypatch, variable, value, line):
    monkeypatch.setenv(variable, value)

    with pytest.raises(errors.InvalidRequestError) as raised:
        settings.Settings.from_environment()

    assert str(raised.value) == line


def test_an_invalid_value_is_one_line_at_the_command_line(llm_command, way: Way):
    done = llm_command("-m", "gemini-3.5-flash", "hi", *way.flags, env={"EVOLINK_TIMEOUT": "soon"})

    assert (done.stdout, done.returncode) == ("", 1)
    assert done.stderr == "Error: EVOLINK_TIMEOUT is not a number from 0.001 to 86400: 'soon'\n"


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_value_means_the_default(monkeypatch, value):
    for name in ("EVOLINK_BASE_URL", "EVOLINK_TIMEOUT", "EVOLINK_MAX_RETRIES", "EVOLINK_MAX_WAIT"):
        monkeypatch.setenv(name, value)

    found = settings.Settings.from_environment()

    assert found == settings.Settings(settings.SERVERS, 600, 2, 20)


@pytest.mark.parametrize(
    ("named", "server"),
    [
        ("https://direct.evolink.ai", "https://direct.evolink.ai"),
        (" https://direct.evolink.ai/v1/ ", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/V1", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/v1/v1", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/chat/completions", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/v1/chat/completions/", "https://direct.evolink.ai"),
        ("https://direct.evolink.ai/v10", "https://direct.evolink.ai/v10"),
        ("https://gateway.example:8443/evolink/v1", "https://gateway.example:8443/evolink"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://127.9.9.9/", "http://127.9.9.9"),
        ("http://[::1]:8787/v1", "http://[::1]:8787"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_the_forms_of_a_base_url(monkeypatch, named, server):
    monkeypatch.setenv("EVOLINK_BASE_URL", named)

    assert settings.Settings.from_environment().servers == (server,)


def test_plain_http_beyond_loopback_if_allowed(monkeypatch):
    monkeypatch.setenv("EVOLINK_BASE_URL", "http://192.0.2.1")
    monkeypatch.setenv("EVOLINK_ALLOW_HTTP", "1")

    assert settings.Settings.from_environment().servers == ("http://192.0.2.1",)


def test_a_path_before_v1_is_kept(monkeypatch, way: Way):
    with scripted_server.serve(answer) as server:
        monkeypatch.setenv("EVOLINK_BASE_URL", f"{server.url}/gateway/v1/")
        assert ask(way).text == "hi"

    assert server.requests[0].path == "/gateway/v1/chat/completions"


@pytest.mark.parametrize(
    ("servers", "line"),
    [
        ((), "The document names no server: set EVOLINK_BASE_URL"),
        (
            ("http://evil.example",),
            "A server of the document would send the key unencrypted to evil.example: use "
            "https://, or set EVOLINK_ALLOW_HTTP=1",
        ),
        (
            ("https://u:p@evil.example",),
            "A server of the document contains a user name: give the URL without it",
        ),
        (
            ("/",),
            "A server of the document is not the URL of a server, such as "
            "https://direct.evolink.ai: '/'",
        ),
    ],
)
def test_the_servers_of_the_document_are_checked_too(monkeypatch, servers, line):
    monkeypatch.delenv("EVOLINK_BASE_URL", raising=False)
    monkeypatch.setattr(settings, "SERVERS", servers)

    with pytest.raises(errors.InvalidRequestError) as raised:
        settings.servers()

    assert str(raised.value) == line
