"""What may be shown of an HTTP URL."""

from __future__ import annotations

from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def address(url: str) -> str:
    """What may be shown of an HTTP URL: `scheme://host:port`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        host = None
    if not host:
        return "(not a URL of http or https)"
    return f"{parts.scheme}://[{host}]:{port}" if ":" in host else f"{parts.scheme}://{host}:{port}"
