"""Facts of the service that several modules need. Imports nothing."""

MODEL_ID = "gemini-3.5-flash"
"""Name of the default model, in llm and in requests."""

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
"""Media types of images that EvoLink's reference names."""

MAX_IMAGE_BYTES = 10 * 2**20
"""Maximum size of a decoded image: 10 MB in EvoLink's reference."""

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 that are counted as a token: Google gives 4 characters of English."""

TOKENS_PER_IMAGE = 1120
"""Approximate tokens of an image of any size, for Gemini 3 at its default media resolution.

Source: the table of token counts on ai.google.dev/gemini-api/docs/media-resolution. Gemini 2.5
counts 256, and more for a large image.
"""

METADATA_KEY = "evolink"
"""Key of the plugin's provider_metadata: fields of a reply that must be sent back unchanged."""

TIMEOUT_RANGE = (0.001, 86400.0)
"""Minimum and maximum of a time-out, in seconds."""

REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")
"""Response headers in which gateways of this family send the request id, first one first."""

FAILED_HEADER = "llm-evolink-failed"
"""Header that the transport adds to a response: the servers that failed before, and why."""

SERVER_HEADER = "llm-evolink-server"
"""Header that the transport adds to a response: the base URL of the server that sent it."""
