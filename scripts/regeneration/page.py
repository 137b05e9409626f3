"""Finds the OpenAPI document in a page: in a fenced block, or as the complete page."""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt

from .errors import RegenerationError

# The first field of an OpenAPI document. In the front matter of a page `openapi:` is no version.
_YAML = re.compile(rb"""^ {0,3}(["']?)(?:openapi|swagger)\1[ \t]*:[ \t]*["']?\d""", re.MULTILINE)
_JSON = re.compile(rb'"(?:openapi|swagger)"\s*:\s*"\d')
_HTML = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)
_LINE = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n|$)")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Found:
    """The document of a page.

    Attributes:
        content: Its bytes, exactly as published.
        name: What to call it in messages.
        first_line: Number of its first line in the page, from 1.
    """

    content: bytes
    name: str
    first_line: int = 1


@dataclass(frozen=True)
class _Block:
    line: int
    heading: str
    content: bytes
    closed: bool


def find_document(page: bytes, name: str) -> Found:
    """Return the OpenAPI document of the page.

    `page` is UTF-8: markdown with the document in a fenced block, or the document alone, as YAML or
    JSON. Raises RegenerationError when there is none or more than one, and when its block has no
    end, since half a document can be valid.
    """
    text = page.removeprefix(_BYTE_ORDER_MARK)
    if text.lstrip()[:1] == b"{":
        return Found(page, name)
    if _HTML.match(text):
        raise RegenerationError(f"{name} is an HTML page: give its markdown (.md) or its .json")
    blocks, prose = _blocks(page)
    if _YAML.search(prose.removeprefix(_BYTE_ORDER_MARK)):
        return Found(page, name)
    documents = [block for block in blocks if _is_document(block.content)]
    if not documents:
        raise RegenerationError(f"{name} holds no OpenAPI document, neither fenced nor bare")
    if len(documents) > 1:
        places = ", ".join(f"line {block.line} ({block.heading})" for block in documents)
        raise RegenerationError(
            f"{name} holds {len(documents)} documents: {places}; save the one to use in a file and "
            "give that file"
        )
    (document,) = documents
    if not document.closed:
        raise RegenerationError(f"{name} is cut: its document, at line {document.line}, has no end")
    place = f"the document at line {document.line} of {name}"
    return Found(document.content, place, document.line + 1)


def _is_document(content: bytes) -> bool:
    pattern = _JSON if content.lstrip()[:1] == b"{" else _YAML
    return pattern.search(content) is not None


def _blocks(page: bytes) -> tuple[list[_Block], bytes]:
    """Return the fenced blocks in order, and the page without them."""
    # CommonMark's parser takes a null character for another, which would not change a line.
    lines = _LINE.findall(page)
    blocks: list[_Block] = []
    prose: list[bytes] = []
    heading, end = "no heading", 0
    tokens = MarkdownIt("commonmark").parse(page.decode())
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = tokens[index + 1].content
        if token.type != "fence" or token.map is None:
            continue
        begin, after = token.map
        prose += lines[end:begin]
        last = lines[after - 1].strip()
        closed = (
            after - begin > 1
            and len(last) >= len(token.markup)
            and not last.strip(token.markup[:1].encode())
        )
        content = b"".join(lines[begin + 1 : after - 1 if closed else after])
        blocks.append(_Block(begin + 1, heading, content, closed))
        end = after
    return blocks, b"".join([*prose, *lines[end:]])
