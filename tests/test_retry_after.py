"""The delay that a response asks for, in each form that servers use."""

from email.utils import formatdate
from types import SimpleNamespace

import pytest

from llm_evolink import retry_after as module
from llm_evolink.retry_after import retry_after

NOW = 1_800_000_000.0
CASES = [
    ({"retry-after": "3"}, b"", 3),
    ({"retry-after": " 0 "}, b"", 0),
    ({"retry-after": "1.5"}, b"", 1.5),
    ({"retry-after": formatdate(NOW + 10, usegmt=True)}, b"", 10),
    ({"retry-after": formatdate(1, usegmt=True)}, b"", 0),
    ({"retry-after-ms": "250", "retry-after": "3"}, b"", 0.25),
    ({"x-ratelimit-reset-requests": "1s"}, b"", 1),
    ({"x-ratelimit-reset-tokens": "6m0s"}, b"", 360),
    ({"x-ratelimit-reset-tokens": "20ms"}, b"", 0.02),
    ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "1h2m"}, b"", 3720),
    (
        {
            "x-ratelimit-remaining-requests": "5",
            "x-ratelimit-reset-requests": "60s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "2s",
        },
        b"",
        2,
    ),
    ({"x-ratelimit-reset": str(int(NOW) + 7)}, b"", 7),
    ({"x-ratelimit-reset": str((int(NOW) + 7) * 1000)}, b"", 7),
    ({"x-ratelimit-reset": "12"}, b"", 12),
    ({}, b'{"error": {"details": [{"retryDelay": "3.2s"}]}}', 3.2),
    ({}, b'[{"error": {"details": [{"@type": "x", "retryDelay" : "41s"}]}}]', 41),
    ({}, b'{"error": {"message": "Please retry in 3.2s."}}', 3.2),
    ({}, b'{"error": {"message": "Please try again in 3s"}}', 3),
    ({}, b'{"error": {"message": "Try again in 250ms"}}', 0.25),
    ({}, b'{"error": {"message": "try again in 2 minutes"}}', 120),
    ({}, b"try again in 2 days", 172_800),
    ({}, b"Rate limit reached. Please try again in 6m0s. Contact us", 360),
    ({}, b"try again in 1h2m3.5s", 3723.5),
    ({}, b"try again in 3 seconds or contact us", 3),
    ({}, b'{"error": {"fallback_suggestion": "retry after 7 seconds"}}', 7),
    ({}, b'{"error": {"message": "retry\\u0020after 7 seconds"}}', 7),
    ({}, b"Retry after 1 second.", 1),
    ({"retry-after": "2"}, b"retry after 7 seconds", 2),
    ({"retry-after": "soon"}, b"retry after 7 seconds", 7),
    # No delay.
    ({}, b"", None),
    ({}, b'{"error": {"message": "Too many requests"}}', None),
    ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "9"}, b"", None),
    ({"retry-after": "-5"}, b"", None),
    ({"retry-after": "nan"}, b"", None),
    ({"retry-after": "9" * 400}, b"", 315_360_000),
    ({"retry-after": "\x1b[31m"}, b"", None),
    ({"retry-after": ","}, b"", None),
    ({"retry-after": "Mon, 23 Nov 99999999999999999999 13:00:00 GMT"}, b"", None),
    ({"retry-after": "Mon, 99 Foo 2026 99:99:99 +9999999999999999999"}, b"", None),
    ({}, b'{"retryDelay": "....s"}', None),
    ({}, b"available in 3 weeks", None),
    ({}, b"[" * 60_000 + b"try again soon", None),
]


@pytest.mark.parametrize(("headers", "content", "seconds"), CASES)
def test_the_delay_in_seconds(monkeypatch, headers, content, seconds):
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW))

    assert retry_after(headers, content) == (seconds and pytest.approx(seconds))
