"""Who may speak at a door."""

import hmac
import re

from providers.http import Request

__all__ = ["Access"]

_PORT = re.compile(r":\d*\Z")


class Access:
    """Who may speak at a door: everyone at a private socket, holders of a token on TCP.

    Args:
        token: The token that every request must carry, or None where the socket's own
            permissions decide.
        hosts: Values of ``Host`` that are accepted; None accepts all. A web page whose name was
            made to point here (DNS rebinding) fails this check.
    """

    def __init__(self, token: str | None = None, hosts: frozenset[str] | None = None) -> None:
        self._token = None if token is None else token.encode()
        self._hosts = hosts

    def refusal(self, request: Request) -> tuple[int, str] | None:
        """Return the status and reason of a refusal; None to let the request in."""
        if self._hosts is not None:
            host = _PORT.sub("", (request.header(b"host") or b"").decode("latin-1").lower())
            if host not in self._hosts:
                return 403, f"Host {host!r} is not served here"
        if self._token is not None:
            bearer = request.header(b"authorization") or b""
            given = request.header(b"x-api-key") or bearer.removeprefix(b"Bearer ")
            if not hmac.compare_digest(given, self._token):
                return 401, "this door needs its token, as a bearer token or x-api-key"
        return None
