"""Attachments of llm as image parts of a message."""

from __future__ import annotations

import base64
import math
from urllib.parse import unquote

import llm

from generated_client import models

from ..constants import IMAGE_TYPES, MAX_IMAGE_BYTES
from ..errors import InvalidRequestError


def image_part(attachment: llm.Attachment) -> models.ImagePart:
    """Return the part: an address is passed on, anything else becomes a data: URL of ours.

    Raises InvalidRequestError, naming the attachment, for one that is not an image of these
    types, is too large, or is not there any more.
    """
    if (attachment.url or "")[:5].lower() == "data:":
        attachment = _decoded(attachment)
    url = attachment.url
    if not url:
        found, content = _read(attachment)
        url = f"data:{found};base64,{base64.b64encode(content).decode()}"
    elif attachment.type:
        _check_type(attachment, attachment.type)
    return models.ImagePart(type_="image_url", image_url=models.ImageUrl(url=url))


def _decoded(attachment: llm.Attachment) -> llm.Attachment:
    """Return the image of a data: URL as an attachment with content, which has a short name."""
    head, _, data = str(attachment.url)[5:].partition(",")
    try:
        content = base64.b64decode("".join(unquote(data).split()), validate=True)
    except ValueError:
        content = None
    if content is None or not head.lower().endswith(";base64"):
        raise InvalidRequestError("The attachment is a data: URL that does not hold base64")
    media_type = attachment.type or head.partition(";")[0] or None
    return llm.Attachment(type=media_type, content=content)


def _read(attachment: llm.Attachment) -> tuple[str, bytes]:
    """Return the type and the bytes of an image."""
    try:
        content = attachment.content_bytes()  # type: ignore[no-untyped-call]
        found = attachment.resolve_type() if content else None  # type: ignore[no-untyped-call]
    except OSError as error:
        raise InvalidRequestError(
            f"{_name(attachment)} cannot be read ({error.strerror}); it may have moved since"
        ) from None
    if not content:
        raise InvalidRequestError(f"{_name(attachment)} is empty")
    media_type = _check_type(attachment, found)
    if len(content) > MAX_IMAGE_BYTES:
        # Rounded up: what is too large is not to read as 10.0.
        size = math.ceil(len(content) / 2**20 * 10) / 10
        raise InvalidRequestError(f"{_name(attachment)} has {size} MB; an image may have 10 MB")
    return media_type, content


def _check_type(attachment: llm.Attachment, found: str | None) -> str:
    """Return the type in the form that the document names it."""
    media_type = (found or "").partition(";")[0].strip().lower()
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in IMAGE_TYPES:
        raise InvalidRequestError(
            f"{_name(attachment)} is {found or 'of an unknown type'}; EvoLink takes "
            f"{', '.join(IMAGE_TYPES)}"
        )
    return media_type


def _name(attachment: llm.Attachment) -> str:
    return str(attachment.path or attachment.url or "The attachment")
