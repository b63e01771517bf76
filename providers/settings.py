"""What one provider is set to, and what of it may be shown."""

import msgspec

from providers.prices import Prices
from providers.wire.continuation import ResumeStyle

__all__ = ["ProviderInfo", "ProviderSettings"]


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider, ready to use: addresses, credentials and bounds.

    Attributes:
        name: The name in the configuration; unique.
        kind: ``openai``, ``anthropic`` or ``simulated``.
        base_url: Where the API's paths begin, for instance ``https://api.openai.com/v1``.
        api_key: The key, or None where the upstream asks for none. Never shown.
        models: Names and ``fnmatch`` patterns of the models it serves.
        headers: Further headers to send with every request.
        organization: OpenAI organization to bill.
        project: OpenAI project to bill.
        responses: Whether the server takes the Responses API as it is; None leaves it to who it is.
        version: ``anthropic-version`` to send when the asker named none; None without one.
        max_connections: Exchanges at one time; the bulkhead.
        queue_limit: Askers that may wait for a connection.
        idle_timeout: Seconds an unused connection is kept.
        connect_timeout: Seconds for a connection, TLS included.
        first_token_timeout: Seconds until the first token of a streamed answer.
        stall_timeout: Seconds of silence in the middle of a stream.
        answer_timeout: Seconds until a plain answer is complete.
        max_answer: Bytes of a plain answer.
        proxy: Address of the proxy to go through; it may hold a password. Never shown.
        http2: Whether to offer HTTP/2.
        prices: What models cost here, by name or pattern.
        resume_style: How it is asked to continue another's answer.
    """

    name: str
    kind: str
    base_url: str
    api_key: str | None = None
    models: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    organization: str | None = None
    project: str | None = None
    responses: bool | None = None
    version: str | None = None
    max_connections: int = 100
    queue_limit: int = 1000
    idle_timeout: float = 60.0
    connect_timeout: float = 5.0
    first_token_timeout: float = 60.0
    stall_timeout: float = 60.0
    answer_timeout: float = 600.0
    max_answer: int = 64 * 1024 * 1024
    proxy: str | None = None
    http2: bool = False
    prices: tuple[tuple[str, Prices], ...] = ()
    resume_style: ResumeStyle = "auto"

    def __repr__(self) -> str:
        """Name the provider, never its key."""
        return f"<ProviderSettings {self.name} {self.kind} {self.base_url}>"


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a provider to anyone.

    Attributes:
        name: Its name.
        kind: ``openai``, ``anthropic`` or ``simulated``.
        wire: The dialect it speaks.
        base_url: Where its API is; empty where it has no address of its own.
        models: Names and patterns of the models it serves.
        has_key: Whether it has a key.
        missing: What it lacks, in a few words; empty when it is configured.
    """

    name: str
    kind: str
    wire: str
    base_url: str
    models: tuple[str, ...]
    has_key: bool
    missing: str = ""
