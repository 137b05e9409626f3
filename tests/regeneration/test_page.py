"""Finding the document in a page."""

import pytest
from regeneration.errors import RegenerationError
from regeneration.page import find_document

NONE = "page.md holds no OpenAPI document, neither fenced nor bare"
YAML = b"openapi: 3.1.0\ninfo: {}\n"
JSON = b'{"info": {}, "openapi": "3.1.0"}\n'
INFO = b"yaml ko/api-manual/openai-sdk-quickstart.json POST /v1/chat/completions"


@pytest.mark.parametrize(
    ("page", "document"),
    [
        (b"# Page\n\n````" + INFO + b"\n" + YAML + b"````", YAML),
        (b"```" + INFO + b"\n" + YAML + b"```\n", YAML),
        (b"~~~ yml\n" + YAML + b"~~~~\nmore\n", YAML),
        (b"  ```\n" + YAML + b"  ```\n", YAML),
        (b"```json\n" + JSON + b"```\n", JSON),
        (b"````\r\nopenapi: 3.1.0\r\ninfo: {}\r\n\r\n````\r\n",
         b"openapi: 3.1.0\r\ninfo: {}\r\n\r\n"),
        (b"```yaml\n'openapi' : \"3.1.0\"\n```\n", b"'openapi' : \"3.1.0\"\n"),
        (b"```yaml\ninfo: {}\nswagger: '2.0'\n```\n", b"info: {}\nswagger: '2.0'\n"),
        # Fences inside: of fewer marks, of the other mark, indented as code, with an info string.
        (b"````yaml\n" + YAML + b"x: |\n  ```\n  a\n````\n", YAML + b"x: |\n  ```\n  a\n"),
        (b"```yaml\n" + YAML + b"x: |\n  ~~~\n    ```\n```\n", YAML + b"x: |\n  ~~~\n    ```\n"),
        (b"```yaml\n" + YAML + b"x: |\n  ```py\n```\n", YAML + b"x: |\n  ```py\n"),
        # Other blocks, and what only looks like a document.
        (b"```yaml\na: 1\n```\n```json\n{\"openapi\": {}}\n```\n```\n" + YAML + b"```\n", YAML),
        (b"---\nopenapi: ko/a.json POST /v1\n---\n```yaml\n" + YAML + b"```\n", YAML),
        (b"```mdx\nopenapi: POST /v1\n```\n```yaml\n" + YAML + b"```\n", YAML),
        # Nothing but the document.
        (YAML, YAML),
        (b"\xef\xbb\xbf" + YAML, b"\xef\xbb\xbf" + YAML),
        (b"# Comment\n---\ninfo:\n  description: |\n    ```yaml\n    openapi: 3\n    ```\n" + YAML,
         b"# Comment\n---\ninfo:\n  description: |\n    ```yaml\n    openapi: 3\n    ```\n" + YAML),
        (JSON, JSON),
        (b'\n{"info": "```\\nopenapi: 3.1.0\\n```"}', b'\n{"info": "```\\nopenapi: 3.1.0\\n```"}'),
    ],
)  # fmt: skip
def test_the_document_is_found_byte_for_byte(page: bytes, document: bytes) -> None:
    assert find_document(page, "page.md").content == document


def test_the_document_has_a_name_and_a_first_line() -> None:
    found = find_document(b"# A\n\n```\n" + YAML + b"```", "p.md")
    assert (found.name, found.first_line) == ("the document at line 3 of p.md", 4)
    found = find_document(YAML, "p.yaml")
    assert (found.name, found.first_line) == ("p.yaml", 1)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"", NONE),
        (b"# A page\n\nopenapi: none\n", NONE),
        (b"    ```\n    openapi: 3.1.0\n    ```\n", NONE),
        (b"```yaml\n" + YAML + b"```\n## New \x1b[31m ##\n~~~\n" + YAML + b"~~~\n",
         r"page.md holds 2 documents: line 1 (no heading), line 6 (New \x1b[31m); save the one to "
         "use in a file and give that file"),
        (b"<!DOCTYPE html><html><pre>openapi: 3.1.0</pre></html>",
         "page.md is an HTML page: give its markdown (.md) or its .json"),
        (b"# A\n````yaml\n" + YAML + b"```\n",
         "page.md is cut: its document, at line 2, has no end"),
    ],
)  # fmt: skip
def test_a_page_without_one_document(page: bytes, message: str) -> None:
    with pytest.raises(RegenerationError) as raised:
        find_document(page, "page.md")
    assert str(raised.value) == message
