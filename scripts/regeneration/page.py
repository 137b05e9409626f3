"""Where in a page the document is: in a fenced block, or the whole of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import RegenerationError

# A fence and its info string, as CommonMark has them.
_FENCE = re.compile(rb" {0,3}(?:(`{3,})([^`\r\n]*)|(~{3,})([^\r\n]*))[\r\n]*")
_HEADING = re.compile(rb" {0,3}#{1,6}[ \t]+(.*?)[ \t#]*[\r\n]*")
# The first field of an OpenAPI document. In the front matter of a page `openapi:` is no version.
_YAML = re.compile(rb"""^ {0,3}(["']?)(?:openapi|swagger)\1[ \t]*:[ \t]*["']?\d""", re.MULTILINE)
_JSON = re.compile(rb'"(?:openapi|swagger)"\s*:\s*"\d')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass
class _Block:
    line: int
    heading: str
    content: bytes
    closed: bool


def find_document(page: bytes, name: str) -> tuple[bytes, str]:
    """Return the bytes of the page's OpenAPI document, exactly as they are, and what to call it.

    `page` is markdown with the document in a fenced block, or nothing but the document, YAML or
    JSON. Raises RegenerationError when there is none or more than one, or when its block does not
    end: half a document can be a valid one.
    """
    if page.removeprefix(_BYTE_ORDER_MARK).lstrip()[:1] == b"{":
        return page, name
    blocks = list(_blocks(page))
    prose = blocks.pop().content
    if _YAML.search(prose.removeprefix(_BYTE_ORDER_MARK)):
        return page, name
    documents = [block for block in blocks if _is_document(block.content)]
    if not documents:
        raise RegenerationError(f"{name} holds no OpenAPI document, neither fenced nor bare")
    if len(documents) > 1:
        places = ", ".join(f"line {block.line} ({block.heading})" for block in documents)
        raise RegenerationError(f"{name} holds {len(documents)} documents, none is taken: {places}")
    (document,) = documents
    if not document.closed:
        raise RegenerationError(f"{name} is cut: its document, at line {document.line}, has no end")
    return document.content, f"the document at line {document.line} of {name}"


def _is_document(content: bytes) -> bool:
    pattern = _JSON if content.lstrip()[:1] == b"{" else _YAML
    return pattern.search(content) is not None


def _blocks(page: bytes) -> Iterator[_Block]:
    """Yield the fenced blocks in order and, last, what is outside of them."""
    prose = bytearray()
    heading = "no heading"
    fence = b""
    block = _Block(0, heading, b"", closed=True)
    begin = position = 0
    for number, line in enumerate(page.splitlines(keepends=True), start=1):
        match = _FENCE.fullmatch(line)
        marks, info = (match[1] or match[3], match[2] or match[4]) if match else (b"", b"")
        if not fence and marks:
            fence, begin = marks, position + len(line)
            block = _Block(number, heading, b"", closed=False)
        elif not fence:
            prose += line
            if title := _HEADING.fullmatch(line):
                heading = title[1].decode(errors="replace")
        elif marks.startswith(fence) and not (info and info.strip()):
            fence, block.content, block.closed = b"", page[begin:position], True
            yield block
        position += len(line)
    if fence:
        block.content = page[begin:]
        yield block
    yield _Block(0, "", bytes(prose), closed=True)
