"""The settings of one provider, by kind."""

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from runtime.configuration.secret import Secret
from runtime.configuration.shape import Duration, Variants
from runtime.configuration.simulator_settings import SimulatorConfig
from runtime.configuration.tolerance import CircuitBreakerConfig, ProviderRetryConfig

__all__ = [
    "RESERVED_NAMES",
    "AnthropicProvider",
    "OneProvider",
    "OpenAIProvider",
    "PriceConfig",
    "ProviderConfig",
    "ProviderTimeouts",
    "SimulatedProvider",
    "UpstreamProvider",
]

RESERVED_NAMES = frozenset({"admin", "control", "health", "metrics", "status", "supervision", "v1"})
"""What no provider can be called: the daemon's own paths begin with these, or may one day, and a
provider's own API is served below its name."""

Wire = Literal["openai", "anthropic"]


class ProviderTimeouts(Struct, frozen=True, kw_only=True):
    """Bounds on the waits for one provider."""

    connect: Annotated[
        Duration, Meta(description="For a connection, TLS included.", gt=0, le=3600)
    ] = 5.0
    first_token: Annotated[
        Duration,
        Meta(description="For the first token of a streamed answer.", gt=0, le=86_400),
    ] = 60.0
    stall: Annotated[
        Duration,
        Meta(description="For the next bytes in the middle of a stream.", gt=0, le=86_400),
    ] = 60.0
    total: Annotated[
        Duration | None,
        Meta(
            description="For a whole answer of this provider; without it, only the time of the "
            "request as a whole (`timeouts.request`) counts.",
            gt=0,
            le=86_400,
        ),
    ] = None


class PriceConfig(Struct, frozen=True, kw_only=True):
    """What a model's tokens cost, in US dollars a million."""

    input: Annotated[float, Meta(description="Tokens of the prompt.", ge=0)]
    output: Annotated[
        float, Meta(description="Tokens of the answer, those of its reasoning included.", ge=0)
    ]
    cache_read: Annotated[
        float | None,
        Meta(
            description="Tokens of the prompt that were read from the provider's cache; without "
            "it, as `input`.",
            ge=0,
        ),
    ] = None
    cache_write: Annotated[
        float | None,
        Meta(
            description="Tokens of the prompt that were written to the provider's cache; without "
            "it, as `input`.",
            ge=0,
        ),
    ] = None


class ProviderConfig(Struct, frozen=True, kw_only=True):
    """What providers of every kind have."""

    kind: Annotated[str, Meta(description="The API it speaks, or `simulated`.")]
    enabled: Annotated[
        bool, Meta(description="Whether it is used. A provider that is not is left out entirely.")
    ] = True
    models: Annotated[
        tuple[str, ...],
        Meta(
            description="Models it serves: names, or patterns with `*`, `?` and `[…]`. A request "
            "for such a model, without group or alias, goes to the providers that list it."
        ),
    ] = ()
    pass_through: Annotated[
        bool,
        Meta(
            description="Whether the rest of its API can be asked by its own paths, below its "
            "name: `/openai-main/v1/files`."
        ),
    ] = True
    max_connections: Annotated[
        int,
        Meta(
            description="Requests it answers at one time, each on a connection of its own.",
            ge=1,
            le=10_000,
        ),
    ] = 100
    queue_limit: Annotated[
        int,
        Meta(
            description="Requests that may wait for a connection; more are refused at once and go "
            "to the next provider.",
            ge=0,
            le=100_000,
        ),
    ] = 1000
    idle_timeout: Annotated[
        Duration, Meta(description="How long an unused connection is kept.", gt=0, le=86_400)
    ] = 60.0
    timeouts: Annotated[
        ProviderTimeouts, Meta(description="Bounds on the waits for this provider.")
    ] = field(default_factory=ProviderTimeouts)
    circuit_breaker: Annotated[
        CircuitBreakerConfig,
        Meta(description="Where this provider differs from the `circuit_breaker` of all."),
    ] = field(default_factory=CircuitBreakerConfig)
    retry: Annotated[
        ProviderRetryConfig,
        Meta(description="Where this provider differs from the `retry` of all."),
    ] = field(default_factory=ProviderRetryConfig)
    resume_style: Annotated[
        Literal["auto", "prefill", "instruction", "never"],
        Meta(
            description="How it is asked to continue the broken stream of another provider, for "
            "groups with `on_broken_stream: resume`: `prefill` gives it the beginning of the "
            "answer as its own last message, `instruction` asks for it in words, `never` leaves "
            "it out; `auto` is `prefill` for older Claude models, else `instruction`."
        ),
    ] = "auto"
    prices: Annotated[
        dict[str, PriceConfig],
        Meta(
            description="What its models cost, by model: a name, or a pattern with `*`, `?` and "
            "`[…]`. They go before the built-in table of prices; of two patterns the first counts."
        ),
    ] = field(default_factory=dict)

    @property
    def dialect(self) -> str:
        """The API it speaks: ``openai`` or ``anthropic``."""
        return self.kind

    @property
    def missing(self) -> str:
        """What it lacks, in a few words; empty when it is configured."""
        return ""

    @property
    def configured(self) -> bool:
        """Whether it has all it needs to be asked."""
        return not self.missing


class UpstreamProvider(ProviderConfig, frozen=True, kw_only=True):
    """A provider somewhere on the network."""

    own_host: ClassVar[str]
    """The host that cannot be asked without a key."""

    base_url: Annotated[
        str,
        Meta(
            description="Where the API's paths begin: for OpenAI and servers like it up to and "
            "with `/v1`, for Anthropic without it.",
            min_length=1,
        ),
    ] = ""
    api_key: Annotated[
        Secret | None,
        Meta(
            description="The key, best from a variable: `${OPENAI_API_KEY:-}`. Without a key, a "
            "provider that needs one is shown as not configured and skipped."
        ),
    ] = None
    api_key_file: Annotated[
        str | None,
        Meta(
            description="A file with nothing but the key, not readable by everyone. A relative "
            "path begins at the configuration file's directory.",
            min_length=1,
        ),
    ] = None
    api_key_credential: Annotated[
        str | None,
        Meta(
            description="Name of the systemd credential that holds the key. Without it, a "
            "credential of the provider's name is used where there is one.",
            min_length=1,
        ),
    ] = None
    headers: Annotated[
        dict[str, Secret],
        Meta(description="Further headers to send with every request; never shown."),
    ] = field(default_factory=dict)
    proxy: Annotated[
        Secret | None,
        Meta(
            description="The HTTP proxy to go through, `http://user:password@host:port`; `none` "
            "for none. Left out, or `auto`, it is the one that `HTTPS_PROXY`, `HTTP_PROXY`, "
            "`ALL_PROXY` and `NO_PROXY` name. Never shown but for its host.",
            # To some, blank would be no proxy, to others the environment's: it is not guessed.
            extra={"instead": "none for no proxy, auto for the one of the environment"},
        ),
    ] = None
    http2: Annotated[
        bool, Meta(description="Whether to speak HTTP/2 with an `https://` upstream that can.")
    ] = False

    @property
    def needs_key(self) -> bool:
        """Whether nothing can be asked of it without a key."""
        return urlsplit(self.base_url).hostname == self.own_host

    @property
    def missing(self) -> str:
        """What it lacks, in a few words; empty when it is configured."""
        if not self.needs_key or self.api_key:
            return ""
        if self.api_key is not None:
            return f"no API key: {self.api_key.source}"
        variable = f"{self.kind.upper()}_API_KEY"
        return f"no API key: set {variable}, api_key, api_key_file or api_key_credential"


class OpenAIProvider(UpstreamProvider, frozen=True, kw_only=True):
    """OpenAI, or any server that speaks its API."""

    own_host = "api.openai.com"

    kind: Annotated[Literal["openai"], Meta(description="OpenAI's API, here or elsewhere.")]
    base_url: Annotated[
        str,
        Meta(
            description="Where the API's paths begin, up to and with `/v1`. A server other than "
            "OpenAI's own needs no key.",
            min_length=1,
        ),
    ] = "https://api.openai.com/v1"
    organization: Annotated[
        str | None, Meta(description="OpenAI organization to bill (`openai-organization`).")
    ] = None
    project: Annotated[
        str | None, Meta(description="OpenAI project to bill (`openai-project`).")
    ] = None
    responses: Annotated[
        bool | None,
        Meta(
            description="Whether requests for the Responses API go to this server as they are; "
            "otherwise they are translated into chat completions. Where nothing is said, OpenAI's "
            "own takes them and other servers do not."
        ),
    ] = None


class AnthropicProvider(UpstreamProvider, frozen=True, kw_only=True):
    """Anthropic, or any server that speaks its API."""

    own_host = "api.anthropic.com"

    kind: Annotated[Literal["anthropic"], Meta(description="Anthropic's API, here or elsewhere.")]
    base_url: Annotated[
        str,
        Meta(
            description="Where the API's paths begin, without `/v1`. A server other than "
            "Anthropic's own needs no key.",
            min_length=1,
        ),
    ] = "https://api.anthropic.com"
    version: Annotated[
        str,
        Meta(description="`anthropic-version` to send for clients that name none.", min_length=1),
    ] = "2023-06-01"


class SimulatedProvider(ProviderConfig, frozen=True, kw_only=True):
    """A provider inside the daemon: a real HTTP server with made-up answers."""

    kind: Annotated[
        Literal["simulated"], Meta(description="A simulated provider: no key, no network.")
    ]
    wire: Annotated[Wire, Meta(description="The API it speaks.")] = "openai"
    simulator: Annotated[SimulatorConfig, Meta(description="How it answers, and how it fails.")] = (
        field(default_factory=SimulatorConfig)
    )

    @property
    def dialect(self) -> str:
        """The API it speaks: ``openai`` or ``anthropic``."""
        return self.wire


OneProvider = Annotated[
    ProviderConfig,
    Variants(
        "kind",
        {
            "openai": OpenAIProvider,
            "anthropic": AnthropicProvider,
            "simulated": SimulatedProvider,
        },
    ),
]
