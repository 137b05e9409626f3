"""Reading a table: formats, ids, and what is refused before anything is asked."""

import io
import json
import sqlite3
from contextlib import closing
from itertools import islice
from types import SimpleNamespace

import pytest

from llm_evolink.batch import formats
from llm_evolink.batch.errors import BatchError
from llm_evolink.batch.query import query_table
from llm_evolink.batch.row_ids import Ids
from llm_evolink.batch.table import open_table

ROWS = [("1", {"id": "1", "text": "good"}), ("2", {"id": "2", "text": "bad, truly"})]


def read(table, needed=()):
    with closing(table):
        table.check(needed)
        assert [row.position for row in table] == list(range(table.ids.count))
        return [(row.id, row.cells) for row in table]


@pytest.mark.parametrize(
    ("name", "content", "file_format"),
    [
        ("a.csv", 'id,text\n1,good\n2,"bad, truly"\n', None),
        ("a.csv", '\ufeffid,text\r\n1,good\r\n\r\n2,"bad, truly"\r\n', None),
        ("a.tsv", "id\ttext\n1\tgood\n2\tbad, truly\n", None),
        ("a.json", '[{"id": 1, "text": "good"},\n {"id": 2, "text": "bad, truly"}]', None),
        ("a.jsonl", '{"id": 1, "text": "good"}\n\n{"id": 2, "text": "bad, truly"}\n', None),
        ("a", 'id,text\n1,good\n2,"bad, truly"\n', None),
        ("a", "id\ttext\n1\tgood\n2\tbad, truly\n", None),
        ("a", '\ufeff[{"id": 1, "text": "good"}, {"id": 2, "text": "bad, truly"}]', None),
        ("a", '\ufeff{"id": 1, "text": "good"}\n{"id": 2, "text": "bad, truly"}', None),
        ("a.txt", "id\ttext\n1\tgood\n2\tbad, truly\n", "tsv"),
        ("a.csv", '{"id": 1, "text": "good"}\n{"id": 2, "text": "bad, truly"}', "nl"),
    ],
)
def test_a_format_is_read(tmp_path, name, content, file_format):
    path = tmp_path / name
    path.write_bytes(content.encode())

    assert read(open_table(str(path), file_format)) == ROWS


def test_cells_that_are_not_text_become_json_and_null_nothing(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"id": 7, "a": null, "b": [1, "é"], "c": true, "d": 1.5}')

    assert read(open_table(str(path))) == [
        ("7", {"id": "7", "a": "", "b": '[1, "é"]', "c": "true", "d": "1.5"})
    ]


def test_a_cell_of_5_mb_with_line_breaks(tmp_path):
    path = tmp_path / "a.csv"
    text = "lorem ipsum\n" * 440_000
    path.write_text(f'id,text\n1,"{text}"\n')

    ((_, cells),) = read(open_table(str(path)))

    assert len(cells["text"]) > 5_000_000
    assert cells["text"] == text


def test_another_column_can_hold_the_ids(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,key\nsame,1\nsame,2\n")

    assert [row_id for row_id, _ in read(open_table(str(path), None, "key"))] == ["1", "2"]


def test_standard_input_is_read_twice(monkeypatch):
    content = io.BytesIO(b'id,text\n1,good\n2,"bad, truly"\n')
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=content))

    assert read(open_table("-")) == ROWS


def test_rows_of_a_query(tmp_path):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table t (id integer, text text)")
        connection.executemany("insert into t values (?, ?)", [(1, "good"), (2, "bad, truly")])
    connection.close()

    table = query_table("select id, text from b.t order by id", [("b", str(tmp_path / "a.db"))])

    assert read(table) == ROWS


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select 1 as id, x'00' as b", "--sql returns binary data"),
        ("select 1 as id, 2 as id", "two columns are named 'id'"),
        ("create table x (a)", "--sql is not a query that returns rows"),
        ("select * from absent", "--sql cannot be used: no such table: absent"),
        ("insert into b.t values (1)", "attempt to write a readonly database"),
    ],
)
def test_a_query_that_cannot_be_used(tmp_path, sql, message):
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.execute("create table t (id)")
    connection.close()

    with pytest.raises(BatchError, match=message):
        read(query_table(sql, [("b", str(tmp_path / "a.db"))]))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "id,text\n1,a\n,b\n", "line 3: the id is empty"),
        ("a.csv", "id,text\n1,a\n \n", "line 3: 1 cell, but the header names 2"),
        ("a.csv", "id,text\n1,a\n1,b\n", "line 3: the id '1' is already used by line 2"),
        ("a.csv", 'id,text\n1,"a\nb"\n2,c\n2,d\n', "line 5: the id '2' is already used by line 4"),
        ("a.csv", "id,text\n1,a,b\n", "line 2: 3 cells, but the header names 2"),
        ("a.csv", "id,text\n1,a\n2\n", "line 3: 1 cell, but the header names 2"),
        ("a.csv", 'id,text\n1,a\n2,"open\n3,b\n', "line 3: unexpected end of data"),
        ("a.csv", "id,text\n1,a\n2,\xe9\n", "line 3: not UTF-8"),
        ("a.csv", "", "line 1: there is no header"),
        ("a.csv", "id,id\n1,2\n", "line 1: two columns are named 'id'"),
        ("a.csv", "id,text\n1,a\n", "there is no column stars; the columns are id, text"),
        ("a.jsonl", '{"id": 1, "stars": 2}\n{"id": 2}\n', "line 2 has no column stars; it has id"),
        ("a.jsonl", '{"id": 1, "stars": 1}\n{"id":\n', "line 2: not a JSON object"),
        ("a.jsonl", '{"id": 1, "stars": 1}\n[1]\n', "line 2: not a JSON object"),
        ("a.jsonl", '{"id": null, "stars": 1}\n', "line 1: the id is empty"),
        (
            "a.jsonl",
            '{"id": "\\ud800", "stars": 1}\n',
            "line 1: the id holds an unpaired surrogate",
        ),
        ("a.json", '[{"id": 1,\n "stars"}]', "line 2: not JSON"),
        ("a.json", '[{"id": 1, "stars": 1}, 2]', "item 2: not a JSON object"),
        ("a.json", "[" * 100_000, "not JSON that can be read: it is nested too deeply"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content.encode("latin-1"))
    needed = {"stars"} if "stars" in content or "stars" in message else set()

    with pytest.raises(BatchError, match=message) as caught:
        read(open_table(str(path)), needed)

    assert str(path) in str(caught.value)


def test_a_malformed_line_70_000_is_named(tmp_path):
    path = tmp_path / "a.csv"
    lines = ["id,text", *(f"{number},a" for number in range(2, 70_000)), "70000", "70001,a"]
    path.write_text("\n".join(lines))

    with pytest.raises(BatchError, match="line 70000: 1 cell, but the header names 2"):
        read(open_table(str(path)))


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(BatchError, match=r"cannot be read: Is a directory"):
        open_table(str(tmp_path))
    with pytest.raises(BatchError, match=r"none.csv cannot be read: No such file"):
        open_table(str(tmp_path / "none.csv"))


def test_rows_are_read_as_they_are_needed(monkeypatch, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": n, "text": "x" * 1000}) + "\n" for n in range(3000)))
    table = open_table(str(path))
    table.check()
    lines = []

    def read_rows(*arguments):
        for line, cells in formats.read_rows(*arguments):
            lines.append(line)
            yield line, cells

    monkeypatch.setattr("llm_evolink.batch.table.read_rows", read_rows)
    rows = iter(table)

    assert next(rows).id == "0"
    assert lines == [1]
    assert (table.ids.at(2_999), table.ids.count) == ("2999", 3000)
    rows.close()
    table.close()


@pytest.mark.parametrize(
    ("content", "position", "problem"),
    [
        ("id,text\na,1\nc,3\nb,2\n", 1, ""),
        ("id,text\na,1\n", 1, ""),
        ("id,text\na,1\nb,2", 2, ""),
        ("", 0, ": line 1: there is no header that names the columns"),
        ("id,text\na,1\nb\n", 1, ": line 3: 1 cell, but the header names 2"),
        ("id,body\na,1\nb,2\nc,3\n", 0, ""),
        ("id,text\na,1\nb,\xff\n", 0, ": line 3: not UTF-8"),
    ],
    ids=["order", "truncated", "last", "empty", "malformed", "columns", "encoding"],
)
def test_a_file_that_is_rewritten_between_the_two_readings_is_reported(
    tmp_path, content, position, problem
):
    path = tmp_path / "a.csv"
    path.write_text("id,text\na,1\nb,2\nc,3\n")
    table = open_table(str(path))
    table.check({"text"})
    path.write_text(content, encoding="latin-1")  # Another file would not change the open one.
    rows = iter(table)

    assert len(list(islice(rows, position))) == position
    with pytest.raises(BatchError) as caught:
        next(rows)
    assert (
        str(caught.value) == f"{path} was changed while it was read, at row {position + 1}{problem}"
    )
    table.close()


def test_a_file_that_grows_between_the_two_readings_has_the_rows_of_the_first(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,text\na,1\n")
    table = open_table(str(path))
    table.check()
    with path.open("a") as file:
        file.write("b,2\n")

    assert [row.id for row in table] == ["a"]
    table.close()


def test_ids_of_an_iterable_are_checked_one_by_one():
    ids = Ids()
    ids.add(1, "a", "row")

    with pytest.raises(BatchError, match="row 2: the id 'a' is already used by row 1"):
        ids.add(2, "a", "row")
    ids.close()


def test_a_full_disk_for_the_ids_is_one_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id\n" + "".join(f"{number}\n" for number in range(5000)))
    table = open_table(str(path))
    table.ids._connection.execute("pragma max_page_count = 10")

    with pytest.raises(BatchError, match=r"line \d+: the id cannot be stored: database or disk is"):
        table.check()
    table.close()


def test_a_full_disk_for_a_temporary_file_is_one_line(monkeypatch, full_disk):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda: open(full_disk, "r+b"))  # noqa: SIM115

    with pytest.raises(BatchError, match=r"The rows of --sql cannot be stored: No space left"):
        query_table("select 1 as id", [])
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"id\n1\n")))
    with pytest.raises(BatchError, match=r"standard input cannot be read: No space left"):
        open_table("-")
