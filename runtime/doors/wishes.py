"""What an asker says in headers of one request: who is to be asked, and for how long it waits.

A head is looked at once: what it says is kept with it, and goes for every request that has the same
head.
"""

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

import msgspec

from providers.http import Request
from runtime.configuration.units import parse_wait
from runtime.routing.wishes import Wishes

__all__ = ["Asked", "WishError", "asked"]

_PREFIX = "x-standby-"
_NO_WISHES = frozenset({b"x-standby-client", b"x-standby-token"})
"""Who asks, and the key to the TCP door: looked at by the session."""

_LONGEST_SHOWN = 100
"""Characters of a value that are repeated in an error."""

_SDK_TIMEOUTS = frozenset({b"x-stainless-timeout", b"x-stainless-read-timeout"})
"""Headers in which SDKs say how long they wait for the next bytes of an answer, in seconds."""

_WHOLE_TIMEOUT = b"x-request-timeout"
"""The header in which other clients say how long they wait for a whole answer, in seconds."""

_NO = frozenset({"none", "no", "off", "false", "0"})
_YES = frozenset({"yes", "on", "true", "1"})


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of a request say about its way.

    Attributes:
        wishes: Who is to be asked; None where nothing is said.
        whole: Seconds the request may take as a whole; infinity where nothing is said.
        whole_by: The header that says so.
        answer: Seconds until its answer must have begun; infinity where nothing is said.
        answer_by: The header that says so.
    """

    wishes: Wishes | None = None
    whole: float = math.inf
    whole_by: str = ""
    answer: float = math.inf
    answer_by: str = ""


class WishError(Exception):
    """A header of Standby's own that cannot be understood.

    Args:
        header: The header.
        message: What is wrong with it.
    """

    def __init__(self, header: str, message: str) -> None:
        super().__init__(f"{header}: {message}")
        self.header = header


def asked(request: Request) -> Asked:
    """Return what the headers of a request say about its way.

    Args:
        request: The request.

    Raises:
        WishError: A header that begins with ``x-standby-`` is unknown, or its value makes no sense.
    """
    known: Asked | None = request.derived.get(asked)
    if known is None:
        known = request.derived[asked] = _read(request)
    return known


def _read(request: Request) -> Asked:
    said: dict[str, Any] = {}
    whole, whole_by = math.inf, ""
    answer, answer_by = math.inf, ""
    for name, value in request.headers:
        if name in _SDK_TIMEOUTS:
            seconds = _seconds(value)
            if seconds < answer:
                answer, answer_by = seconds, name.decode("ascii")
        elif name == _WHOLE_TIMEOUT:
            seconds = _seconds(value)
            if seconds < whole:
                whole, whole_by = seconds, name.decode("ascii")
        elif name.startswith(b"x-standby-") and name not in _NO_WISHES:
            header = name.decode("latin-1")
            wish = header.removeprefix(_PREFIX).replace("-", "_")
            if wish in said:
                raise WishError(header, "it is there twice")
            said[wish] = _value(header, value.decode("latin-1").strip())
    timeout = said.pop("timeout", math.inf)
    if timeout < whole:
        whole, whole_by = timeout, f"{_PREFIX}timeout"
    return Asked(
        wishes=Wishes(**said) if said else None,
        whole=whole,
        whole_by=whole_by,
        answer=answer,
        answer_by=answer_by,
    )


def _seconds(value: bytes) -> float:
    """Return the seconds that a client's own header says; infinity where it says none.

    It is the client library's affair, not its user's, so that nonsense is passed over: one SDK
    sends ``NOT_GIVEN``.
    """
    try:
        seconds = float(value)
    except ValueError:
        return math.inf
    return seconds if seconds > 0 else math.inf


def _value(header: str, text: str) -> object:
    """Return what the value of one of Standby's own headers means."""
    read = _READERS.get(header)
    if read is None:
        header = header[:_LONGEST_SHOWN]
        there_are = [*_READERS, *(name.decode("ascii") for name in sorted(_NO_WISHES))]
        ends = [known.removeprefix(_PREFIX) for known in there_are]
        near = get_close_matches(header.removeprefix(_PREFIX), ends, n=1)
        hint = f"did you mean {_PREFIX}{near[0]}?" if near else f"there are {', '.join(there_are)}"
        raise WishError(header, f"there is no such header; {hint}")
    try:
        return read(text)
    except ValueError as error:
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
        raise WishError(header, f"{error}, not {shown!r}") from None


def _name(text: str) -> str:
    if not text:
        raise ValueError("expected a name")
    return text


def _failover(text: str) -> bool:
    if text.lower() not in _NO | _YES:
        raise ValueError("expected none, for no other provider than the first")
    return text.lower() in _YES


def _broken_stream(text: str) -> str:
    if text.lower() not in {"error", "resume"}:
        raise ValueError("expected error or resume")
    return text.lower()


def _translation(text: str) -> str:
    if text.lower() not in {"lenient", "strict"}:
        raise ValueError("expected lenient or strict")
    return text.lower()


def _attempts(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text)):
        raise ValueError("expected a whole number of attempts, 1 or more")
    return int(text)


_READERS: Final[Mapping[str, Callable[[str], object]]] = MappingProxyType(
    {
        f"{_PREFIX}group": _name,
        f"{_PREFIX}provider": _name,
        f"{_PREFIX}timeout": parse_wait,
        f"{_PREFIX}failover": _failover,
        f"{_PREFIX}max-attempts": _attempts,
        f"{_PREFIX}on-broken-stream": _broken_stream,
        f"{_PREFIX}translation": _translation,
    }
)
"""Standby's own headers, and how their values are read. Each is named for what it sets."""
