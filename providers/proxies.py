"""Proxies: their addresses, and which one the environment names for an upstream.

The variables are read as curl and httpx read them: ``https_proxy`` for https upstreams,
``http_proxy`` for http ones, ``all_proxy`` for either, ``no_proxy`` for exceptions, in lower case
or else in upper case.
"""

import ipaddress
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import msgspec

__all__ = ["Proxy", "is_local", "proxy_variable"]

_PORTS = {"http": 80, "https": 443}


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP proxy.

    Attributes:
        host: Name or address, without brackets.
        port: TCP port.
        tls: Whether the proxy itself is spoken to in TLS.
        credentials: User name and password, where it wants them. Never shown.
    """

    host: str
    port: int
    tls: bool = False
    credentials: tuple[str, str] | None = None

    @classmethod
    def from_url(cls, url: str) -> "Proxy":
        """Read ``http://user:password@host:port``; without a scheme, ``http`` is meant.

        Raises:
            ValueError: It is no such address; the text says why, without showing it.
        """
        if any(sign.isspace() or not sign.isprintable() for sign in url):
            raise ValueError("a proxy's address must not have blanks or control characters")
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port
            host = parts.hostname
        except ValueError:
            raise ValueError("this is not the address of a proxy") from None
        if parts.scheme.startswith("socks"):
            raise ValueError(
                "SOCKS proxies are not supported; name an HTTP proxy, or write proxy: none"
            )
        if parts.scheme not in _PORTS:
            raise ValueError("a proxy's address must begin with http:// or https://")
        if not host or not host.isascii():
            raise ValueError("a proxy's address needs a host, in ASCII")
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ValueError("a proxy's address has nothing after its port")
        credentials = None
        if parts.username is not None:
            credentials = (unquote(parts.username), unquote(parts.password or ""))
        return cls(
            host=host,
            port=port or _PORTS[parts.scheme],
            tls=parts.scheme == "https",
            credentials=credentials,
        )

    def __str__(self) -> str:
        """Name its host and port: all of it that may be shown."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"<Proxy {self}>"


def is_local(host: str) -> bool:
    """Tell whether a host is this machine, where no proxy belongs in between."""
    if not host or host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def proxy_variable(host: str, port: int, environ: Mapping[str, str], *, tls: bool) -> str | None:
    """Return the name of the variable that names the proxy for an upstream; None for no proxy.

    Args:
        host: The upstream's host; empty for one behind a Unix socket.
        port: Its port.
        environ: The environment.
        tls: Whether it is at ``https://``.
    """
    if is_local(host):
        return None
    named = None
    for name in ("https_proxy" if tls else "http_proxy", "all_proxy"):
        found = _variable(name, environ)
        if found is not None and environ[found].strip():
            named = found
            break
    if named is None:
        return None
    exceptions = _variable("no_proxy", environ)
    if exceptions is not None and _excepted(host, port, environ[exceptions]):
        return None
    return named


def _variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable of this name that counts: lower case, even if empty, or upper case."""
    if name in environ:
        return name
    upper = name.upper()
    # Where a web server runs programs, HTTP_PROXY is what a client sent as its header `Proxy`.
    if upper in environ and not (upper == "HTTP_PROXY" and "REQUEST_METHOD" in environ):
        return upper
    return None


def _excepted(host: str, port: int, patterns: str) -> bool:
    """Tell whether an upstream is in a list such as ``.example.com, 10.0.0.0/8, host:8443``."""
    host = host.rstrip(".").lower()
    address = _address(host)
    for entry in patterns.replace(",", " ").split():
        pattern = entry.lower()
        if pattern == "*":
            return True
        if address is not None:
            if _holds(pattern, address, port):
                return True
            continue
        name, colon, only = pattern.rpartition(":")
        if colon and only.isdigit():
            if int(only) != port:
                continue
            pattern = name
        pattern = pattern.removeprefix("*").strip(".")
        if pattern and (host == pattern or host.endswith(f".{pattern}")):
            return True
    return False


def _holds(pattern: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> bool:
    """Tell whether a pattern is this address, with or without a port, or a network it is in."""
    if pattern in {str(address), f"[{address}]"}:
        return True
    shown = f"[{address}]" if address.version == 6 else str(address)
    if pattern == f"{shown}:{port}":
        return True
    try:
        return address in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
