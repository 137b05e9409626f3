"""Image parts of a message, from llm's attachments."""

from __future__ import annotations

import base64
import math
from mimetypes import guess_type
from typing import NoReturn
from urllib.parse import unquote

import llm

from generated_client import models

from ..constants import IMAGE_TYPES, MAX_IMAGE_BYTES
from ..errors import InvalidRequestError

_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/javascript")
_OTHER_MEDIA = ("application/pdf", "audio/", "video/")


def image_part(attachment: llm.Attachment) -> models.ImagePart:
    """Return the image part. A URL is sent as it is, a file or bytes as a base64 data URL.

    Raises InvalidRequestError, naming the attachment, for one that cannot be read, has more than
    MAX_IMAGE_BYTES, or is not of IMAGE_TYPES. No request is sent to a URL.
    """
    if (attachment.url or "")[:5].lower() == "data:":
        attachment = _decoded(attachment)
    url = attachment.url
    if not url:
        found, content = _read(attachment)
        url = f"data:{found};base64,{base64.b64encode(content).decode()}"
    elif attachment.type:
        _check_type(attachment, attachment.type)
    elif (guessed := guess_type(url.partition("?")[0])[0] or "").startswith(_OTHER_MEDIA):
        _refuse_type(attachment, guessed)
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
    media_type = _check_type(attachment, found, content)
    if len(content) > MAX_IMAGE_BYTES:
        # Rounded up: an image that is too large must not be reported as 10.0 MB.
        size = math.ceil(len(content) / 2**20 * 10) / 10
        raise InvalidRequestError(f"{_name(attachment)} has {size} MB; an image may have 10 MB")
    return media_type, content


def _check_type(attachment: llm.Attachment, found: str | None, content: bytes = b"") -> str:
    """Return the type as the document writes it. Raises InvalidRequestError for any other type."""
    media_type = (found or "").partition(";")[0].strip().lower()
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in IMAGE_TYPES:
        _refuse_type(attachment, media_type, content)
    return media_type


def _refuse_type(attachment: llm.Attachment, media_type: str, content: bytes = b"") -> NoReturn:
    """Raise InvalidRequestError with what to do about an attachment of this type."""
    images = ", ".join(IMAGE_TYPES)
    if media_type.startswith("image/"):
        advice = f"EvoLink takes {images}"
    elif media_type.startswith(_TEXT_TYPES) or (
        not media_type.startswith(_OTHER_MEDIA) and _is_text(content)
    ):
        advice = f"send text as a fragment: -f {attachment.path or attachment.url or '-'}"
    else:
        advice = f"EvoLink's document names images only ({images})"
    raise InvalidRequestError(
        f"{_name(attachment)} is {media_type or 'of an unknown type'}; {advice}"
    )


def _is_text(content: bytes) -> bool:
    """Return whether the content is text: llm recognizes no CSV file and no Makefile."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return bool(text) and "\0" not in text


def _name(attachment: llm.Attachment) -> str:
    return str(attachment.path or attachment.url or "The attachment")
