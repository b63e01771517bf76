"""Where a request goes that is passed through: a path of the asker's behind an upstream's own.

Nothing that an asker can write leads out of the path that a provider is configured with. What an
upstream, or a proxy before it, may take for a step out of it is refused rather than resolved: two
readers could resolve it differently. All else goes on as it came, byte for byte.
"""

import re
from urllib.parse import unquote

__all__ = ["PathRefused", "joined"]

_VERSION = re.compile(r"v[0-9][0-9A-Za-z]*")
"""How APIs call their versions in paths: ``v1``, ``v4``, ``v1beta``."""

_MOST_DECODINGS = 4
"""How often a path may have been percent-encoded, one upon the other."""

_SEPARATORS = re.compile(r"[/\\]")


class PathRefused(ValueError):  # noqa: N818 - names the event; the door turns it into an answer
    """A path that could lead elsewhere; the text says what is wrong with it."""


def joined(base_path: str, target: str) -> str:
    """Return the target of an upstream request.

    A version that both begin with, as ``/v1`` of ``https://host/v1`` and of ``/v1/files``, is there
    once: clients are given addresses with and without it.

    Args:
        base_path: The path of the provider's ``base_url``; empty, or begins but does not end with a
            slash.
        target: What the asker wrote behind the provider's name; path and query, begins with a
            slash.

    Raises:
        PathRefused: The path has dot segments, empty segments, backslashes or a fragment, in
            whatever encoding, so that it could mean another place.
    """
    path, mark, query = target.partition("?")
    _check(path, query)
    last = base_path.rpartition("/")[2]
    if _VERSION.fullmatch(last):
        first, slash, rest = path[1:].partition("/")
        if first == last:
            path = slash + rest
    return f"{base_path}{path}{mark}{query}" if base_path or path else f"/{mark}{query}"


def _check(path: str, query: str) -> None:
    if not path.startswith("/"):
        raise PathRefused("the path must begin with a slash")
    if "\\" in path:
        raise PathRefused("the path has a backslash, which some take for a slash")
    if "#" in path or "#" in query:
        raise PathRefused("the path has a fragment (#), which no request has")
    if not (path.isascii() and query.isascii() and path.isprintable() and query.isprintable()):
        raise PathRefused("the path has characters that must be percent-encoded")
    if " " in path or " " in query:
        raise PathRefused("the path has a blank")
    if "//" in path:
        raise PathRefused("the path has an empty segment (//)")
    plain = path
    for _ in range(_MOST_DECODINGS):
        _check_segments(plain)
        decoded = unquote(plain, encoding="latin-1")
        if decoded == plain:
            return
        plain = decoded
    raise PathRefused("the path is percent-encoded too many times over")


def _check_segments(path: str) -> None:
    """Refuse steps to the same or the next higher segment, with or without parameters."""
    for segment in _SEPARATORS.split(path):
        # Some servers cut off what follows a semicolon before they resolve the rest.
        if segment.partition(";")[0].strip() in {".", ".."}:
            raise PathRefused("the path has a dot segment (. or ..), which could lead elsewhere")
