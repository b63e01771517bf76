"""What every fault of the simulator must come to: for the asker, and for its provider.

One table, for the tests on a running daemon and for their twins on a virtual clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from tests.support.daemon import Reply

__all__ = ["DIALECTS", "EARLY", "PLAIN", "STREAMED", "Meaning", "assert_refused", "meaning_of"]

DIALECTS: Final = ("openai", "anthropic")

Counted = Literal["failure", "set_aside", "gate", "nothing"]


@dataclass(frozen=True)
class Meaning:
    """What a fault must come to.

    Attributes:
        status: What the asker is told when nothing is left; 200 where the answer is good, or breaks
            after its first tokens.
        over: Whether the next provider is asked.
        again: Whether the same provider is asked again, where the retry policy has it.
        counted: What becomes of the provider: ``failure`` (its breaker counts one), ``set_aside``
            (its account is refused), ``gate`` (it is left alone for a while), or nothing.
        broken: Whether tokens go out, then an honest error.
    """

    status: int
    over: bool = True
    again: bool = False
    counted: Counted = "failure"
    broken: bool = False

    def status_in(self, dialect: str) -> int:
        """Return the status in a dialect: only Anthropic's API has one for too much to do."""
        return 503 if self.status == 529 and dialect == "openai" else self.status


FINE = Meaning(200, over=False, counted="nothing")
BROKEN = Meaning(200, over=False, broken=True)
_ACCOUNT = Meaning(502, counted="set_aside")
_PASSING = Meaning(502, again=True)
_BAD_ANSWER = Meaning(502)
_LATE = Meaning(504, again=True)


def _refused(status: int, *, over: bool = False) -> Meaning:
    return Meaning(status, over=over, counted="nothing")


PLAIN: Final[Mapping[str, Meaning]] = {
    "none": FINE,
    "status_400": _refused(400),
    "status_401": _ACCOUNT,
    "status_402": _ACCOUNT,
    "status_403": _ACCOUNT,
    "status_404": _refused(404, over=True),
    "status_413": _refused(413),
    "status_422": _refused(422),
    "status_429": Meaning(429, again=True, counted="gate"),
    "status_500": _PASSING,
    "status_502": _PASSING,
    "status_503": replace(_PASSING, status=503),
    "status_504": replace(_PASSING, status=504),
    "status_529": replace(_PASSING, status=529),
    "insufficient_quota": _ACCOUNT,
    "error_body_200": _BAD_ANSWER,
    "html_200": _BAD_ANSWER,
    "empty_completion": _BAD_ANSWER,
    "wrong_content_type": _BAD_ANSWER,
    "non_json": _BAD_ANSWER,
    "content_filter": FINE,
    "connect_reset": _PASSING,
    "hang": _LATE,
    "truncated_json": _PASSING,
    "slow_first_token": _LATE,
    "stall_midstream": _LATE,
    "cut_midstream": _PASSING,
    "reset_midstream": _PASSING,
    "malformed_event": _BAD_ANSWER,
    "error_midstream": _BAD_ANSWER,
    "error_first_event": _BAD_ANSWER,
    "no_finish_marker": FINE,
    "no_done": FINE,
}
"""What each fault means to a plain request."""

STREAMED: Final[Mapping[str, Meaning]] = {
    **PLAIN,
    "hang": Meaning(504),
    "slow_first_token": Meaning(504),
    "truncated_json": BROKEN,
    "stall_midstream": BROKEN,
    "cut_midstream": BROKEN,
    "reset_midstream": BROKEN,
    "malformed_event": BROKEN,
    "error_midstream": BROKEN,
    "no_finish_marker": BROKEN,
    "no_done": BROKEN,
}
"""What each fault means to a streamed one."""

EARLY: Final[Mapping[str, Meaning]] = {
    "stall_midstream:0": Meaning(504),
    "cut_midstream:0": _PASSING,
    "reset_midstream:0": _PASSING,
    "malformed_event:0": _BAD_ANSWER,
    "error_midstream:0": _BAD_ANSWER,
}
"""What those that happen in the middle of a stream mean where no token has been sent yet."""

_OPENAI_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    404: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}
_ANTHROPIC_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def meaning_of(fault: str, *, stream: bool) -> Meaning:
    """Return what a fault means to a plain or a streamed request."""
    if stream and fault in EARLY:
        return EARLY[fault]
    return (STREAMED if stream else PLAIN)[fault]


def assert_refused(reply: Reply, status: int, dialect: str, provider: str, attempts: int) -> None:
    """See an honest error: in its dialect, who was asked and how often, and not to ask again."""
    assert reply.status == status, reply.body
    headers = reply.headers
    assert headers["content-type"].startswith("application/json")
    assert headers["x-should-retry"] == "false"
    assert headers["x-standby-provider"] == provider
    assert headers["x-standby-attempts"] == str(attempts)
    assert "x-standby-hedged" not in headers
    error = reply.json["error"]
    assert error["message"]
    if dialect == "openai":
        assert set(reply.json) == {"error"}
        assert set(error) == {"message", "type", "param", "code"}
        assert error["type"] == _OPENAI_TYPES[status]
        assert headers["x-request-id"]
    else:
        assert reply.json["type"] == "error"
        assert error["type"] == _ANTHROPIC_TYPES[status]
        assert headers["request-id"]
        assert reply.json["request_id"]
    if status == 429 or status >= 500:
        assert provider in error["message"], "the error names the provider"
