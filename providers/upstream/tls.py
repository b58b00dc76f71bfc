"""The process's one TLS context: certificates and names are verified, and HTTP/1.1 is what is spoken."""

import ssl
from functools import cache


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context. Loading the system's certificates takes milliseconds, so it is made once."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
