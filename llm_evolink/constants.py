"""Facts of the service that several modules need. Imports nothing."""

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
"""Media types of images that EvoLink's reference names."""

MAX_IMAGE_BYTES = 10 * 2**20
"""Maximum size of a decoded image; EvoLink's reference says 10 MB."""

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
