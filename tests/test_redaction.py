"""The key in each encoding that a server could send it back in, and in log records."""

import base64
import io
import json
import logging
import re
from urllib.parse import quote

import pytest

from llm_evolink import redaction
from llm_evolink.redaction import Redactor, keep_credentials_out, keep_out_of_logs

PLAIN = "sk-test-0123456789abcdef"
SPECIAL = "sk/te=st+01\"23'45\\67&89<ab>%cd"

FORMS = [
    pytest.param(lambda key: key, id="itself"),
    pytest.param(str.upper, id="upper case"),
    pytest.param(str.title, id="mixed case"),
    pytest.param(lambda key: quote(key, safe=""), id="percent-encoded"),
    pytest.param(quote, id="percent-encoded but for slashes"),
    pytest.param(lambda key: quote(key, safe="").lower(), id="percent-encoded in lower case"),
    pytest.param(lambda key: json.dumps(key)[1:-1], id="JSON"),
    pytest.param(lambda key: json.dumps(key)[1:-1].replace("/", "\\/"), id="JSON, slashes escaped"),
    pytest.param(lambda key: repr(key.encode())[2:-1], id="repr of bytes"),
    pytest.param(lambda key: base64.b64encode(f"Bearer {key}".encode()).decode(), id="base64"),
]
# The last character of base64 depends on what follows the key, and is left.
LEFT = "(?:[A-Za-z0-9+/]=*)?"


@pytest.mark.parametrize("key", [PLAIN, SPECIAL], ids=["plain", "special"])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_the_key_is_replaced(key, form):
    text = Redactor(key).text(f"Before {form(key)} after")

    assert re.fullmatch(f"Before …{re.escape(key[-4:])}{LEFT} after", text)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 2, 5, 23])
def test_each_form_is_replaced_in_deltas(form, size):
    text = f"Grüße! {form(SPECIAL)} end"
    redactor = Redactor(SPECIAL)
    shown = ""
    for start in range(0, len(text), size):
        shown += "".join(part for _, part in redactor.deltas("text", text[start : start + size]))
    shown += "".join(part for _, part in redactor.rest())

    assert re.fullmatch(f"Grüße! …{SPECIAL[-4:]}{LEFT} end", shown)


def test_text_that_only_begins_like_the_key_is_unchanged():
    redactor = Redactor(PLAIN)

    assert redactor.text("sk-test-0123456789 is short") == "sk-test-0123456789 is short"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cut in sk-test-01234", "cut in …"),
        ("cut in sk-t", "cut in …"),
        ("ends in s", "ends in s"),
        ("ends in sk-", "ends in sk-"),
        (f"{PLAIN} complete", "…cdef complete"),
    ],
)
def test_the_start_of_a_key_at_the_end_of_an_error_is_left_out(text, shown):
    assert Redactor(PLAIN).excerpt(text) == shown


@pytest.mark.parametrize(
    ("texts", "indices"),
    [
        (["Hi", " sk-", "test-0123", "456789abcdef", "!"], {1, 2, 3}),
        (["sk-test-0123456789abcdef"], {0}),
        (["a", "sk-test-0123456789abcde", "f", "b"], {1, 2}),
        (["sk-", "test"], set()),
        ([], set()),
    ],
)
def test_the_tokens_that_form_a_key(texts, indices):
    assert Redactor(PLAIN).parts_of_key(texts) == indices


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a handler of the root logger writes; the record factory is put back afterwards."""
    factory = logging.getLogRecordFactory()
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", logging.DEBUG)
    monkeypatch.setattr(redaction, "_logged", {})
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)
    logging.setLogRecordFactory(factory)


def test_no_library_logs_the_key(logged):
    keep_out_of_logs(PLAIN)
    logger = logging.getLogger("some.library.nobody.listed")
    logger.debug("key %s and %r", PLAIN, {"authorization": f"Bearer {PLAIN}".encode()})

    assert logged.getvalue() == "key …cdef and {'authorization': b'Bearer …cdef'}\n"


def test_no_traceback_in_a_log_holds_the_key(logged):
    keep_out_of_logs(PLAIN)
    try:
        raise ValueError(f"bad {PLAIN}")
    except ValueError:
        logging.getLogger("library").exception("failed")

    assert "ValueError: bad …cdef" in logged.getvalue()
    assert PLAIN not in logged.getvalue()


def test_other_records_stay_as_they_are(logged):
    keep_out_of_logs(PLAIN)
    logging.getLogger("library").info("%d of %s", 1, "many")

    assert logged.getvalue() == "1 of many\n"


def test_a_wrong_format_is_left_to_logging(logged):
    keep_out_of_logs(PLAIN)
    record = logging.getLogRecordFactory()("a", 10, "p", 1, "%d", ("many",), None)

    assert (record.msg, record.args) == ("%d", ("many",))


def test_the_record_factory_of_another_library_is_kept(logged):
    class Record(logging.LogRecord):
        pass

    logging.setLogRecordFactory(Record)
    for key in (PLAIN, SPECIAL):
        keep_out_of_logs(key)
    record = logging.getLogRecordFactory()("a", 10, "p", 1, f"{PLAIN} {SPECIAL}", (), None)

    assert type(record) is Record
    assert record.getMessage() == f"…cdef …{SPECIAL[-4:]}"


def test_the_password_of_a_proxy_is_not_logged(logged, monkeypatch):
    monkeypatch.setattr(redaction, "_credentials", {})
    keep_credentials_out("me", "p@ss word")
    logging.getLogger("library").info(
        "me:p@ss word, %s, p%%40ss%%20word", base64.b64encode(b"me:p@ss word").decode()
    )

    assert "p@ss" not in logged.getvalue()
    assert "p%40ss" not in logged.getvalue()
    assert logged.getvalue() == "…, …, …\n"


def test_a_traceback_without_the_key_stays_as_it_is(logged):
    keep_out_of_logs(PLAIN)
    try:
        raise LookupError("no luck")
    except LookupError:
        logging.getLogger("other").exception("failed")

    assert "LookupError: no luck" in logged.getvalue()
