"""A changed document: what changed, whether the overlays still fit, and what is to be written."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .diff import compare, overlaid
from .download import read_source
from .page import find_document
from .validation import load_yaml, validate
from .vendored import PUBLISHED, SOURCE, source_record, vendored_document, with_overlays


@dataclass
class Update:
    """The effective document, the warnings, and the files of openapi/ that go with it."""

    document: dict[str, Any]
    warnings: list[str]
    files: dict[str, bytes]


def read_update(source: str, openapi: Path) -> Update | None:
    """Print what changed in the document that the page or file holds; None when nothing did.

    Raises RegenerationError for a source without a valid document, and when actions of the overlays
    no longer fit; OSError for a file that cannot be read.
    """
    page, address = read_source(source)
    content, name = find_document(page, source)
    vendored = vendored_document(openapi)
    if content == (openapi / PUBLISHED).read_bytes():
        return None
    published = load_yaml(content, name)
    validate(published, name)
    changes, texts = compare(vendored, published)
    for change in changes:
        print(change)
    if texts:
        print(f"{texts} text{'' if texts == 1 else 's'} changed")
    if not (changes or texts):
        print("the same document, written otherwise")
    sys.stdout.flush()  # Before what is told on stderr.
    document, warnings = with_overlays(published, openapi)
    warnings += overlaid(changes, published, document)
    record = source_record(openapi, content, address).encode()
    return Update(document, warnings, {PUBLISHED: content, SOURCE: record})
