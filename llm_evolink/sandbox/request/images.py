"""Images of a request: what they are, read from their first bytes."""

import base64
import struct

from ...constants import IMAGE_TYPES, MAX_IMAGE_BYTES
from ..document import Refusal, refuse


def describe(url: str, param: str) -> str:
    """Return what the image is: type, pixels and bytes of a data: URL, else the URL itself.

    Nothing is fetched. Raises Refusal, with param for the field's path, for what is neither an
    http address nor an image of a known type, and for an image over MAX_IMAGE_BYTES.
    """
    if url.startswith(("http://", "https://")):
        return url
    head, comma, encoded = url.partition(",")
    media_type, _, encoding = head.removeprefix("data:").partition(";")
    if not (url.startswith("data:") and comma and encoding == "base64"):
        raise refuse(param, "not an http(s) address, nor data:<type>;base64,<image>")
    if media_type not in (*IMAGE_TYPES, "image/jpg"):
        raise refuse(param, f"an image cannot be {media_type!r}; take jpeg, png or webp")
    try:
        content = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise refuse(param, "the image is not base64") from None
    if len(content) > MAX_IMAGE_BYTES:
        raise Refusal(413)
    try:
        found, width, height = _measure(content)
    except (struct.error, IndexError, ValueError):
        raise refuse(param, "not a readable jpeg, png or webp image") from None
    return f"{found}, {width}x{height} pixels, {len(content)} bytes"


def _measure(content: bytes) -> tuple[str, int, int]:
    """Return the type, width and height. Raises where the bytes end early or are no image."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png", *struct.unpack_from(">II", content, 16)
    if content.startswith(b"\xff\xd8"):
        return "image/jpeg", *_jpeg_size(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp", *_webp_size(content)
    raise ValueError("no image")


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Return width and height from the first start-of-frame segment."""
    at = 2
    while content[at] == 0xFF:
        marker, length = struct.unpack_from(">xBH", content, at)
        # C0 to CF start a frame, but for the tables C4 and CC and the reserved C8.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        at += 2 + length
    raise ValueError("no frame")


def _webp_size(content: bytes) -> tuple[int, int]:
    """Return width and height of the three kinds of WebP: lossy, lossless, extended."""
    kind = content[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", content, 24)
        return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1
    raise ValueError("no WebP")
