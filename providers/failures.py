"""What can go wrong with a provider, in the terms that routing decides by."""

from collections.abc import Sequence
from typing import Literal

__all__ = ["Failure", "FailureKind"]

FailureKind = Literal[
    "connect",
    "tls",
    "reset",
    "timeout",
    "first_token_timeout",
    "stall",
    "server_error",
    "bad_answer",
    "rate_limited",
    "account",
    "client_error",
    "model_not_found",
    "context_too_long",
    "content_filter",
    "untranslatable",
    "broken_stream",
    "queue_full",
    "provider_down",
    "circuit_open",
    "deadline",
    "not_configured",
]
"""The kinds of failure.

- ``connect``: no connection to the upstream: refused, unreachable, unknown host, or too slow.
- ``tls``: the TLS handshake failed, a certificate that does not hold included.
- ``reset``: the upstream hung up before its answer was complete and before a token came.
- ``timeout``: no whole answer in time.
- ``first_token_timeout``: a streamed answer whose first token did not come in time.
- ``stall``: a stream that fell silent for too long.
- ``server_error``: a status of 500 or more.
- ``bad_answer``: a success that is none: not JSON, not the dialect, empty, or an error inside.
- ``rate_limited``: 429; the provider asks for patience.
- ``account``: the key, the permission or the credit is refused: 401, 402, 403 and their codes;
  not a 403 about a model.
- ``client_error``: the upstream refuses this request for what it says: 400, 422 ...
- ``model_not_found``: the upstream does not know the model, or the path: 404; or the key is not
  good for the model: a 403 about one.
- ``context_too_long``: the request is larger than the model's context window, or than the upstream
  takes: 413, or a 400 that says so.
- ``content_filter``: a filter of the provider refuses the request or cut off the answer.
- ``untranslatable``: the request cannot be put into the provider's API; it was not asked.
- ``broken_stream``: a stream that broke, or ended without its finish marker, after tokens came.
- ``queue_full``: too many requests already wait for this provider here, or no connection became
  free in time.
- ``provider_down``: the provider's own task ended, or is not running.
- ``deadline``: the asker's own time was up before the provider had had a fair chance.
- ``circuit_open``: the provider's breaker lets nothing pass; it was not asked.
- ``not_configured``: the provider lacks something it needs, a key for instance.
"""


class Failure(Exception):  # noqa: N818 - it is the design's word, and not every failure is an error
    """A provider did not do what it was asked to.

    Args:
        kind: What sort of failure it is.
        provider: Which provider failed.
        message: What happened, in plain words, without secrets.
        status: The upstream's HTTP status, if it answered.
        retry_after: Seconds the upstream asked to be left alone, if it said.
        upstream_body: The upstream's own error answer, whole, where it may be passed on.
        upstream_headers: The headers of the upstream's error answer, if it answered.
        crashed: Whether the provider's own task ended with an exception while it had the request.
        api: Whose API ``upstream_body`` and ``upstream_headers`` are in: ``openai`` or
            ``anthropic``; empty without them.
        param: The field of the request that is at fault, by the asker's name, where that is known.
    """

    __slots__ = (
        "api",
        "crashed",
        "kind",
        "message",
        "param",
        "provider",
        "retry_after",
        "status",
        "upstream_body",
        "upstream_headers",
    )

    def __init__(
        self,
        kind: FailureKind,
        provider: str,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        upstream_body: bytes | None = None,
        upstream_headers: Sequence[tuple[bytes, bytes]] = (),
        crashed: bool = False,
        api: str = "",
        param: str | None = None,
    ) -> None:
        super().__init__(kind, provider, message)
        self.kind = kind
        self.provider = provider
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.upstream_body = upstream_body
        self.upstream_headers = upstream_headers
        self.crashed = crashed
        self.api = api
        self.param = param

    def __str__(self) -> str:
        return f"{self.provider}: {self.message}"

    def __repr__(self) -> str:
        # The upstream's body may quote the request, so it is left out.
        status = "" if self.status is None else f" {self.status}"
        return f"<Failure {self.kind} of {self.provider}{status}: {self.message}>"
