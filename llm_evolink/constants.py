"""Facts of the service that several modules need. Imports nothing: every `llm` command loads it."""

MODEL_ID = "gemini-3.5-flash"
"""Name of the model, in llm and in requests."""

KEY_ALIAS = "evolink"
"""Name under which `llm keys set` stores the API key."""

KEY_VARIABLE = "EVOLINK_API_KEY"
"""Environment variable that holds the API key when none is stored."""

IMAGE_TYPES = ("image/jpeg", "image/png", "image/webp")
"""Media types of images that EvoLink's reference names."""

MAX_IMAGE_BYTES = 10 * 2**20
"""Maximum size of a decoded image; EvoLink's reference says 10 MB."""

METADATA_KEY = "evolink"
"""Key of the plugin's provider_metadata: fields of a reply that must be sent back unchanged."""

REQUEST_ID_HEADERS = ("x-oneapi-request-id", "x-request-id")
"""Response headers in which gateways of this family send the request id, first one first."""

FAILED_HEADER = "llm-evolink-failed"
"""Header that the transport adds to a response: the servers that failed before, and why."""

SERVER_HEADER = "llm-evolink-server"
"""Header that the transport adds to a response: the base URL of the server that sent it."""

ADDED_MODELS_FILE = "evolink-models.json"
"""File in llm's folder that lists the models which the user added."""
