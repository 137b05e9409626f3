"""A client library for accessing Gemini 3.5 Flash"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import SERVERS as SERVERS
    from .client import AuthenticatedClient as AuthenticatedClient
    from .client import Client as Client

__all__ = ("SERVERS", "AuthenticatedClient", "Client")


# Hidden from type checkers, which would take any name for one of ours.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Loaded on first use: importing the package alone costs nothing (PEP 562).
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(".client", __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
