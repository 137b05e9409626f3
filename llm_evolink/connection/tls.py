"""The TLS context: which CA certificates are trusted."""

import os
import re
import ssl
import sys
from contextlib import suppress
from functools import cache

from ..errors import InvalidRequestError


@cache
def tls_context() -> ssl.SSLContext:
    """Return the process's TLS context: the system's CA certificates, else certifi's.

    SSL_CERT_FILE and SSL_CERT_DIR name others, on every system.
    Raises InvalidRequestError for a file that holds no certificate.
    """
    directories = os.environ.get("SSL_CERT_DIR") or None
    if named := os.environ.get("SSL_CERT_FILE"):
        try:
            return ssl.create_default_context(cafile=named, capath=directories)
        except OSError as error:
            reason = error.strerror or error
            raise InvalidRequestError(
                f"SSL_CERT_FILE names a file without a readable certificate: {named!r} ({reason})"
            ) from None
    if not directories and sys.platform in ("darwin", "win32"):
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found = system_ca_certificates()
    if directories and "capath" not in found:
        return ssl.create_default_context()
    if not found:
        import certifi

        found = {"cafile": certifi.where()}
    try:
        return ssl.create_default_context(cafile=found.get("cafile"), capath=found.get("capath"))
    except OSError as error:
        raise InvalidRequestError(
            f"The system's CA certificates cannot be read: {found.get('cafile')!r} "
            f"({error.strerror or error}); SSL_CERT_FILE can name others"
        ) from None


def system_ca_certificates() -> dict[str, str]:
    """Return where OpenSSL finds the system's CA certificates: a capath, a cafile, or neither.

    From a directory with hashed names a handshake reads what it needs; a file costs 20 ms.
    """
    paths = ssl.get_default_verify_paths()
    with suppress(OSError):  # A directory that cannot be read is ignored.
        names = os.listdir(paths.capath) if paths.capath else []
        if any(re.fullmatch("[0-9a-f]{8}[.][0-9]", name) for name in names):
            return {"capath": paths.capath}
    return {"cafile": paths.cafile} if paths.cafile else {}
