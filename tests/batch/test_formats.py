"""Files that a batch reads, by format."""

import io
import os
from datetime import date
from decimal import Decimal

import pytest

from llm_evolink.batch import BatchError
from llm_evolink.batch.formats import cell_text, cells_of, guess_format, read_rows
from llm_evolink.batch.table import open_table


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (b'[{"a": 1}]', "json"),
        (b'{"a": 1}\n{"a": 2}', "nl"),
        (b'{\n"a": 1}', "json"),
        (b'{"a": ' + b"[" * 60_000, "json"),
        (b'{"a": "%s"}\n{"a": "b"}' % (b"x" * 70_000), "nl"),
        (b'{"a": "%s",\n"b": 1}' % (b"x" * 70_000), "json"),
        (b"id\ttext\n", "tsv"),
        (b"id,text\t\n", "csv"),
        (b"", "csv"),
    ],
)
def test_the_first_line_gives_the_format(first, expected):
    assert guess_format(io.BytesIO(b"\xef\xbb\xbf" + first), "table.txt") == expected


@pytest.mark.parametrize(
    ("content", "file_format", "message"),
    [
        (b'{"a": "\xff"}\n', "nl", "line 1: not UTF-8"),
        (b'\n\n{"a": 1', "nl", "line 3: not a JSON object"),
        (b'[{"a": "\xff"}]', "json", "line 1: not UTF-8"),
        (b"id,text\n1,\xff\n", "csv", "line 2: not UTF-8"),
        (b'{"a": %s}' % (b"1" * 5000), "nl", "line 1: not a JSON object"),
        (
            b'[{"a":\n%s}]' % (b"1" * 5000),
            "json",
            "not JSON that can be read: a number has too many digits",
        ),
    ],
)
def test_a_malformed_file_is_reported_by_line(content, file_format, message):
    with pytest.raises(BatchError) as error:
        list(read_rows(io.BytesIO(content), file_format))
    assert error.value.message == message


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        (None, ""),
        (1.5, "1.5"),
        (["é"], '["é"]'),
        (date(2026, 11, 29), "2026-11-29"),
        (Decimal("1.50"), "1.50"),
        ([date(2026, 11, 29)], '["2026-11-29"]'),
    ],
)
def test_the_text_of_a_cell(value, text):
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"id": 1, "image": b"\xff\x00"}, "image"),
        ({"id": bytearray(b"a")}, "id"),
        ({"id": 1, "images": [memoryview(b"a")]}, "images"),
    ],
)
def test_binary_data_is_refused(row, column):
    with pytest.raises(BatchError) as error:
        cells_of(row.items())
    assert error.value.message == (
        f"the column {column} holds binary data, which cannot be part of a prompt"
    )


@pytest.mark.parametrize(
    ("name", "content"), [("a.xlsx", b"PK\x03\x04\x14\x00"), ("a", b"SQLite format 3\0")]
)
def test_a_file_that_is_not_text_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(BatchError) as error:
        open_table(str(path))
    assert error.value.message == (
        f"{path} is not text: give a file in CSV, TSV, JSON or JSON lines"
    )


def test_a_file_that_cannot_be_read_is_reported():
    class Broken(io.BytesIO):
        def readline(self, *_):
            raise OSError(5, "Input/output error")

        __next__ = read = readline

    with pytest.raises(BatchError) as error:
        list(read_rows(Broken(), "nl"))
    assert error.value.message == "it cannot be read: Input/output error"


def test_a_pipe_that_is_named_is_refused():
    source, target = os.pipe()
    with os.fdopen(source, "rb"), os.fdopen(target, "wb"), pytest.raises(BatchError) as error:
        open_table(f"/dev/fd/{source}")
    assert error.value.message == f"/dev/fd/{source} cannot be read twice; use - to read a pipe"
