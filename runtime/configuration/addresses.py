"""What makes an address usable: base URLs, loopback hosts, headers."""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

__all__ = [
    "HEADER_NAME",
    "Address",
    "is_header_value",
    "is_header_word",
    "is_loopback",
    "url_mistake",
]

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name (RFC 9110, section 5.1)."""


class Address(NamedTuple):
    """Where a base URL leads."""

    secure: bool
    host: str
    port: int

    @classmethod
    def of(cls, base_url: str) -> "Address":
        """Return where a base URL without mistakes leads."""
        parts = urlsplit(base_url)
        secure = parts.scheme == "https"
        return cls(secure, parts.hostname or "", parts.port or (443 if secure else 80))


def is_header_value(text: str) -> bool:
    """Tell whether ``text`` can stand in a header: printable ASCII, no line breaks."""
    return text.isascii() and text.isprintable()


def is_header_word(text: str) -> bool:
    """Tell whether ``text`` can stand in a header as one word, as keys and tokens have to."""
    return is_header_value(text) and " " not in text


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` names this machine only, without asking a name server."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def url_mistake(text: str) -> str:
    """Return what keeps ``text`` from being a base URL, in words; empty when nothing does.

    The text itself is not repeated: it may have come from a variable.
    """
    expected = 'expected an address such as "https://api.example.com/v1"'
    if not text.isascii() or not text.isprintable() or " " in text:
        return f"{expected}, without spaces or special characters"
    try:
        parts = urlsplit(text)
        wrong = _wrong_part(parts)
    except ValueError:  # a port that is no number, brackets that do not match
        return expected
    return f"{expected}; {wrong}" if wrong else ""


def _wrong_part(parts: SplitResult) -> str:
    if parts.scheme not in {"http", "https"}:
        return "it begins with http:// or https://"
    if not parts.hostname:
        return "the host is missing"
    if parts.port == 0:
        return "port 0 is no port"
    if parts.username is not None or parts.password is not None:
        return "user and password do not belong here; use api_key or headers"
    if parts.query or parts.fragment:
        return "it ends with its path: no ? and no #"
    return ""
