"""The hosts and web origins from which the sandbox accepts requests."""

import pytest
from starlette.datastructures import Headers

from llm_evolink.sandbox.document import Refusal
from llm_evolink.sandbox.hosts import HostCheck
from tests.four_ways import MODEL, client_of

BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}]}


REBINDING = "http://evil.example:8787"


NOT_LOCAL = "is not this machine: web pages have no access"


@pytest.mark.parametrize(
    ("headers", "param"),
    [
        ({"Host": "evil.example:8787"}, "Host"),
        ({"Host": "192.0.2.1"}, "Host"),
        ({"Host": "localhost.evil.example"}, "Host"),
        ({"Host": "[::1"}, "Host"),
        ({"Host": ""}, "Host"),
        ({"Origin": REBINDING}, "Origin"),
        ({"Origin": "null"}, "Origin"),
        ({"Origin": REBINDING, "Host": "evil.example:8787"}, "Host"),
    ],
)
def test_a_request_from_another_web_site_is_refused(server, headers, param):
    with client_of(server) as client:
        response = client.post("/v1/chat/completions", json=BODY, headers=headers)
    assert response.status_code == 403
    assert len(response.headers["x-request-id"]) == 32
    error = response.json()["error"]
    assert error["message"] == f"The {param} of the request {NOT_LOCAL}"
    assert error["param"] == param


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "localhost:8787"},
        {"Host": "LOCALHOST"},
        {"Host": "127.0.0.1"},
        {"Host": "[::1]:8787"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://127.0.0.1:3000"},
    ],
)
def test_a_request_from_this_machine_is_accepted(server, headers):
    with client_of(server) as client:
        assert client.post("/v1/chat/completions", json=BODY, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "address", "name", "accepted"),
    [
        ("127.0.0.1", "127.0.0.1", "evil.example", False),
        ("My-Box", "127.0.1.1", "my-box:80", True),
        ("0.0.0.0", "0.0.0.0", "anything.example", True),
    ],
)
def test_the_host_is_checked_only_on_loopback(host, address, name, accepted):
    check = HostCheck(host, address).check
    if accepted:
        check(Headers({"host": name}))
        check(Headers({}))
    else:
        with pytest.raises(Refusal):
            check(Headers({"host": name}))
