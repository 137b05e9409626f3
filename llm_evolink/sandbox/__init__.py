"""A local HTTP server that speaks EvoLink's document, with no model behind it.

with serve() as server:
    httpx.post(f"{server.url}/v1/chat/completions", ...)
"""

from .route import ReceivedRequest
from .server import Server, serve

__all__ = ["ReceivedRequest", "Server", "serve"]
