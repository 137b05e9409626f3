"""Description of the images in a request, from their first bytes."""

import base64
from io import BytesIO

import imagesize  # type: ignore[import-untyped]

from ...constants import IMAGE_TYPES, MAX_IMAGE_BYTES
from ..document import Refusal, refuse


def describe(url: str, param: str) -> str:
    """Return type, pixels and bytes of the image in a data: URL; any other URL as it is.

    Nothing is fetched. Raises Refusal, with param as the path of the field, for a URL that is
    neither http nor an image of a known type, and for an image over MAX_IMAGE_BYTES.
    """
    if url.startswith(("http://", "https://")):
        return url
    head, comma, encoded = url.partition(",")
    media_type, _, encoding = head.removeprefix("data:").partition(";")
    if not (url.startswith("data:") and comma and encoding == "base64"):
        raise refuse(param, "is neither an http(s) URL nor data:<type>;base64,<image>")
    if media_type not in (*IMAGE_TYPES, "image/jpg"):
        raise refuse(param, f'"{media_type}" is not the type of a jpeg, png or webp image')
    try:
        content = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise refuse(param, "the image is not base64") from None
    if len(content) > MAX_IMAGE_BYTES:
        raise Refusal(413)
    found = _type_of(content)
    width, height = imagesize.get(BytesIO(content))
    if found is None or width < 0:
        raise refuse(param, "not a readable jpeg, png or webp image")
    return f"{found}, {width}x{height} pixels, {len(content)} bytes"


def _type_of(content: bytes) -> str | None:
    """Return the type that the first bytes have, which need not be the one declared."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8"):
        return "image/jpeg"
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None
