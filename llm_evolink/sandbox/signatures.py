"""Thought signatures, which Gemini 3 puts on tool calls."""

import base64
import hashlib
import hmac
import json
from typing import Any

STAND_IN = "skip_thought_signature_validator"
"""Signature that Google documents for calls of another model; it is never checked."""

# Not secret: any sandbox can check the signature, and a changed call does not match it.
_KEY = b"llm-evolink sandbox"


def sign(call_id: str, name: str, arguments: dict[str, Any]) -> str:
    """Return the thought signature of a call, the same in every process."""
    text = json.dumps([call_id, name, arguments], sort_keys=True)
    return base64.b64encode(hmac.digest(_KEY, text.encode(), hashlib.sha256)).decode()
