"""What every provider can do: the interface that the daemon knows, whatever API is behind it."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from providers.chat import Carry, OnEvent, stream_chat
from providers.chat_request import AnyRequest, chat_bodies
from providers.error_kinds import classify_status
from providers.failures import Failure, FailureKind
from providers.forward_request import ForwardRequest
from providers.further_paths import joined
from providers.http import ResponseHead, Target
from providers.masking import Masking
from providers.patterns import matches_any
from providers.prices import Cost, PriceTable, cost_of, estimate_usage
from providers.retry_after import parse_retry_after
from providers.settings import ProviderInfo, ProviderSettings
from providers.wire import AnswerFault, Dialect, OperationName, UpstreamError, Usage
from providers.wire.chat_events import Done
from providers.wire.translation.foreign import MARK, without_foreign_thoughts

__all__ = [
    "HOP_BY_HOP",
    "ForwardRequest",
    "ProviderInfo",
    "ProviderInterface",
    "ProviderSettings",
]

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers that belong to one connection and never travel on (RFC 9110, section 7.6.1)."""

_NOT_FORWARDED = HOP_BY_HOP | {
    b"accept-encoding",  # answers are inspected on the way: only the identity encoding is asked for
    b"api-key",  # the asker's credentials are for this daemon, never for a provider
    b"authorization",
    b"content-length",
    b"cookie",
    b"expect",
    b"host",
    b"x-api-key",
    b"x-goog-api-key",
    b"x-standby-client",
}


_HAVE_BODIES = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose requests say a length even where it is none (RFC 9110, section 8.6)."""

_MAKERS = frozenset({"api.openai.com", "api.anthropic.com"})

_STANDBYS_OWN = b"x-standby-"
"""How the headers begin that are between askers and this daemon."""

_CONNECTIONS_OWN = HOP_BY_HOP | {b"content-length", b"expect", b"host"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name (RFC 9110, section 5.6.2)."""

_FORBIDDEN = 403

_SHORTEST_SECRET = 6
"""Characters from which a secret is looked for in what an upstream says; a shorter one would also
be found in ordinary words."""

_MEANT_WITHIN_SUCCESS: frozenset[FailureKind] = frozenset(
    {"rate_limited", "account", "content_filter", "model_not_found", "context_too_long"}
)
"""Errors inside an answer of a good status that keep their own meaning."""


class ProviderInterface(ABC):
    """One upstream API behind one name: turns requests into bytes and answers into verdicts.

    It does no input or output and keeps no state; connections belong to the provider's actor.

    Args:
        settings: The provider's settings.

    Raises:
        ValueError: When the settings cannot be used; says why.

    Attributes:
        dialect: The wire format into which requests in any other than ``spoken`` are translated.
        paths: Where each operation of each dialect is asked for, behind ``base_url``.
        spoken: The dialects it takes as they are, by name; ``dialect`` is one of them.
    """

    dialect: ClassVar[Dialect]
    paths: ClassVar[Mapping[str, Mapping[OperationName, str]]]
    spoken: Mapping[str, Dialect]

    def __init__(self, settings: ProviderSettings) -> None:
        self.settings = settings
        self.name = settings.name
        problems = self.validate_config()
        if problems:
            raise ValueError("; ".join(problems))
        self.target = Target.from_url(settings.base_url)
        self.spoken = self.dialects()
        configured = {name.lower().encode(): value.encode() for name, value in settings.headers}
        own = [
            (b"host", self.target.authority.encode("ascii")),
            *(
                pair
                for pair in (*self.auth_headers(), *self.fixed_headers())
                if pair[0] not in configured
            ),
            *configured.items(),
        ]
        self._not_forwarded = _NOT_FORWARDED | {name for name, _ in own}
        # What is passed through is not looked at: it may come in any coding.
        self._not_passed_on = (_NOT_FORWARDED - {b"accept-encoding"}) | {name for name, _ in own}
        self._defaults = [
            pair for pair in self.default_headers() if pair[0] not in self._not_forwarded
        ]
        secrets = [settings.api_key or "", *(value for _, value in settings.headers)]
        self._secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
        self._own_lines = _header_lines(own)

    def dialects(self) -> Mapping[str, Dialect]:
        """Return the dialects that this provider takes as they are, by name."""
        return MappingProxyType({self.dialect.name: self.dialect})

    @property
    def official(self) -> bool:
        """Whether the upstream is the API's own maker, not another server of the same API."""
        return self.target.host in _MAKERS

    @property
    def api_version(self) -> str | None:
        """The version of the API that is asked for where the asker names none; None without."""
        return None

    @abstractmethod
    def auth_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that carry the key; empty without one."""

    def fixed_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the other headers that are sent with every request, whatever the asker sent."""
        return []

    def default_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return headers that are sent when the asker did not send them."""
        return ((b"content-type", b"application/json"),)

    def provider_info(self) -> ProviderInfo:
        """Return what may be shown of this provider."""
        return ProviderInfo(
            name=self.name,
            kind=self.settings.kind,
            wire=self.dialect.name,
            base_url=self.settings.base_url,
            models=self.settings.models,
            has_key=self.settings.api_key is not None,
        )

    def validate_config(self) -> list[str]:
        """Return what is wrong with the settings, one sentence a mistake; empty when nothing is."""
        problems = []
        key = self.settings.api_key
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            problems.append("api_key has characters that no header can carry")
        for name, value in self.settings.headers:
            if not (_TOKEN.fullmatch(name) and value.isascii() and value.isprintable()):
                problems.append(f"header {name!r} has characters that no header can carry")
            elif name.lower().encode() in _CONNECTIONS_OWN:
                problems.append(f"header {name!r} is the connection's own and cannot be set")
        for what in ("organization", "project", "version"):
            text: str | None = getattr(self.settings, what)
            if text is not None and not (text.isascii() and text.isprintable()):
                problems.append(f"{what} has characters that no header can carry")
        return problems

    def serves(self, model: str) -> bool:
        """Tell whether one of the configured names or patterns matches ``model``."""
        return matches_any(model, self.settings.models)

    def transform_request(self, request: ForwardRequest, model: str | None) -> bytes:
        """Return the whole upstream request, head and body.

        Args:
            request: What the asker sent.
            model: The model to ask this provider for; None or the same name keeps the body
                exactly as it is.
        """
        body = request.body
        if MARK in body:
            body = without_foreign_thoughts(body)
        if model is not None and model != request.model:
            body = self.dialect.with_model(body, model)
        head = request.derived.get(self)
        if head is None:
            head = request.derived[self] = self._head_for(request)
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)

    def _head_for(self, request: ForwardRequest) -> bytes:
        """Return the head of an upstream request but for its last lines."""
        _, mark, query = request.target.partition("#")[0].partition("?")
        own_path = self.paths[request.dialect or self.dialect.name][request.operation]
        path = f"{self.target.base_path}{own_path}{mark}{query}"
        return self._head(f"POST {path}", request.headers, self._not_forwarded, self._defaults)

    def pass_on(self, request: ForwardRequest) -> bytes:
        """Return the whole upstream request for one that is passed through, head and body.

        Args:
            request: What the asker sent; its target is what stands behind the provider's name.

        Raises:
            PathRefused: The target could lead out of the path of ``base_url``.
        """
        line = f"{request.method} {joined(self.target.base_path, request.target)}"
        defaults = [pair for pair in self._defaults if pair[0] != b"content-type"]
        head = self._head(line, request.headers, self._not_passed_on, defaults)
        body = request.body
        if body or request.method in _HAVE_BODIES:
            head += b"content-length: %d\r\n" % len(body)
        return b"%b\r\n%b" % (head, body)

    def _head(
        self,
        line: str,
        asked: Sequence[tuple[bytes, bytes]],
        skip: frozenset[bytes],
        defaults: Sequence[tuple[bytes, bytes]],
    ) -> bytes:
        """Return the head of an upstream request but for its length and the empty line."""
        for name, value in asked:
            if name == b"connection":  # what it names belongs to the asker's connection too
                skip = skip | {each.strip() for each in value.lower().split(b",")}
        headers = [
            pair for pair in asked if pair[0] not in skip and not pair[0].startswith(_STANDBYS_OWN)
        ]
        names = [pair[0] for pair in headers]
        headers += [pair for pair in defaults if pair[0] not in names]
        first = f"{line} HTTP/1.1\r\n".encode("ascii")
        return first + self._own_lines + _header_lines(headers)

    async def stream_chat(
        self,
        request: AnyRequest,
        on_event: OnEvent,
        carry: Carry,
        *,
        model: str | None = None,
        dialect: str | None = None,
    ) -> Done:
        """Have this provider answer a request, event by event.

        Args:
            request: The request, with or without a model.
            on_event: Takes the events; see ``providers.chat.stream_chat``.
            carry: The way to this provider, by which a request in another dialect is translated:
                the interface itself does no input or output.
            model: The model to ask for, in place of the one the request names.
            dialect: The dialect the request is in; None finds out.

        Returns:
            The last event.

        Raises:
            ChatError: There is no complete answer.
            WireError: It is no request.
        """
        bodies = chat_bodies(request, model=model, dialect=dialect)
        own = (body for body in bodies if body.dialect in self.spoken)
        return await stream_chat(next(own, bodies[0]), on_event, carry)

    def estimate_cost(
        self, what: AnyRequest | Usage, model: str, table: PriceTable | None = None
    ) -> Cost:
        """Return what a request may cost here, or what used tokens do.

        Args:
            what: A request, whose tokens are estimated, or tokens as counted.
            model: This provider's model.
            table: The price table; without one only configured prices are known.
        """
        return cost_of(
            what if isinstance(what, Usage) else estimate_usage(what),
            model,
            own=self.settings.prices,
            simulated=self.settings.kind == "simulated",
            base_url=self.settings.base_url,
            table=table,
            estimated=not isinstance(what, Usage),
        )

    def handle_error(self, head: ResponseHead, body: bytes) -> Failure:
        """Judge an answer whose status is not a success.

        Args:
            head: The answer's head.
            body: The answer's body, whole.

        Returns:
            What happened, in the terms that routing decides by.
        """
        error = self.dialect.decode_error(body)
        message = f"the upstream answered {head.status}"
        code = ""
        if error is not None:
            message = f"{message}: {error.message}"
            code = f"{error.type} {error.code}"
        kind = classify_status(head.status, code, message)
        if head.status == _FORBIDDEN and error is None and body.lstrip().startswith(b"<"):
            # A page is no word of the API's about the key: a firewall before it took offence, be
            # it only at the words of this request.
            kind = "bad_answer"
            message += " with a page instead of JSON"
        return Failure(
            kind,
            self.name,
            self.redact(message),
            status=head.status,
            retry_after=parse_retry_after(head.headers),
            upstream_body=self._redact_bytes(body) if error is not None else None,
            upstream_headers=[(name, self._redact_bytes(value)) for name, value in head.headers],
            api=self.dialect.family,
        )

    def handle_stream_error(self, error: UpstreamError) -> Failure:
        """Judge an error event that came before the first token of a streamed answer.

        Args:
            error: The error as the upstream put it.
        """
        return self._within_success(error.status, f"{error.type} {error.code}", error.message)

    def handle_fault(self, fault: AnswerFault) -> Failure:
        """Judge a success that is none.

        Args:
            fault: What is wrong with the answer.
        """
        if fault.kind == "content_filter":
            message = self.redact(fault.message)
            return Failure("content_filter", self.name, message, status=fault.status)
        code = f"{fault.error_type} {fault.error_code}"
        return self._within_success(fault.status, code, fault.message)

    def _within_success(self, status: int | None, code: str, message: str) -> Failure:
        """An error inside an answer whose status promised a good one: a bad answer.

        Only those errors that ask for patience, speak of the account or refuse the request keep
        their own meaning.
        """
        kind = classify_status(status or 500, code, message)
        if kind not in _MEANT_WITHIN_SUCCESS:
            kind = "bad_answer"
        return Failure(kind, self.name, self.redact(message), status=status)

    def redact(self, text: str) -> str:
        """Return a text of the upstream's without this provider's secrets.

        Some upstreams repeat the key they refuse.

        Args:
            text: What the upstream said.
        """
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def masking(self) -> Masking:
        """Return what blots this provider's secrets out of an answer that passes."""
        return Masking(secret.encode("ascii") for secret in self._secrets)

    def _redact_bytes(self, body: bytes) -> bytes:
        for secret in self._secrets:
            body = body.replace(secret.encode("ascii"), b"***")
        return body


def _header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)
