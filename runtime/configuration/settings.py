"""The configuration as structs: every key, its type, default, bounds and meaning.

These are the one description of the configuration. The reader checks files against them, the JSON
Schema and the reference in the documentation are made from them. A duration is seconds as a float,
a size is bytes, and a key ending in ``_ms`` is whole milliseconds.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from runtime.configuration.provider_settings import OneProvider
from runtime.configuration.secret import Secret
from runtime.configuration.shape import Duration, Size
from runtime.configuration.tolerance import CircuitBreakerConfig, HedgeConfig, RetryConfig

__all__ = [
    "Config",
    "GroupConfig",
    "GroupMember",
    "GroupTimeoutsConfig",
    "LimitsConfig",
    "LoggingConfig",
    "ModelAlias",
    "TcpConfig",
    "TimeoutsConfig",
]


Name = Annotated[str, Meta(pattern="[A-Za-z0-9][A-Za-z0-9._-]{0,63}")]
"""What may name a provider or a group: it stands in model names, headers and the tree."""


class TcpConfig(Struct, frozen=True, kw_only=True):
    """The optional door on loopback TCP, for programs that can only be given an address."""

    enabled: Annotated[bool, Meta(description="Whether to listen on TCP besides the socket.")] = (
        False
    )
    host: Annotated[
        str,
        Meta(description="Loopback address to listen on; no other is accepted.", min_length=1),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(description="Port to listen on; 0 lets the system choose.", ge=0, le=65535)
    ] = 4003
    token: Annotated[
        Secret | None,
        Meta(
            description="What a program must send as its API key. Needed when enabled: "
            "unlike the socket, a TCP port is open to every user of the machine."
        ),
    ] = None


Refusal = Literal["model_not_found", "content_filter", "context_too_long"]
"""Refusals of a request after which a group may have its next member asked."""


class GroupMember(Struct, frozen=True, kw_only=True):
    """One provider of a group, and the model to ask it for."""

    provider: Annotated[str, Meta(description="Name of a provider.", min_length=1)]
    model: Annotated[
        str | None,
        Meta(
            description="The model to ask this provider for. May be left out when the provider "
            "lists exactly one model and no pattern.",
            min_length=1,
        ),
    ] = None
    weight: Annotated[
        float,
        Meta(
            description="Its share of the requests, relative to the other members; for the "
            "strategies `load_balanced` and `cost_optimized`.",
            gt=0,
            le=1_000_000,
        ),
    ] = 1.0
    cost_tier: Annotated[
        int | None,
        Meta(
            description="How expensive it is: members of a lower tier are asked first; without a "
            "tier it comes last. For the strategies `cost_optimized` and `adaptive`.",
            ge=0,
            le=1000,
        ),
    ] = None
    context_window: Annotated[
        int | None,
        Meta(
            description="Tokens the model takes, for `fallback_on: [context_too_long]`: a request "
            "that one member finds too long goes to those with a larger window.",
            ge=1,
        ),
    ] = None
    fallback_on: Annotated[
        tuple[Refusal, ...] | None,
        Meta(description="Where this member differs from the group's `fallback_on`."),
    ] = None


class GroupTimeoutsConfig(Struct, frozen=True, kw_only=True):
    """Bounds on the waits of a request to one group."""

    total: Annotated[
        Duration | None,
        Meta(
            description="For a request as a whole, from its arrival to its complete answer, all "
            "attempts together. More than `timeouts.request` changes nothing.",
            gt=0,
            le=86_400,
        ),
    ] = None
    attempt: Annotated[
        Duration | None,
        Meta(
            description="For one attempt, as long as the next member could stand in: for a whole "
            "plain answer, or the first token of a streamed one. Without it the first member may "
            "use up all of the request's time.",
            gt=0,
            le=86_400,
        ),
    ] = None
    first_token: Annotated[
        Duration | None,
        Meta(
            description="For the first token of a streamed answer, in place of what the provider "
            "says for all of its requests.",
            gt=0,
            le=86_400,
        ),
    ] = None
    stall: Annotated[
        Duration | None,
        Meta(
            description="For the next bytes in the middle of a stream, in place of what the "
            "provider says for all of its requests.",
            gt=0,
            le=86_400,
        ),
    ] = None


class GroupConfig(Struct, frozen=True, kw_only=True):
    """Providers that stand in for each other, asked for by the group's name as the model."""

    members: Annotated[
        tuple[GroupMember, ...],
        Meta(
            description="The providers, first choice first. A request uses those that speak its "
            "own API.",
            min_length=1,
        ),
    ]
    strategy: Annotated[
        Literal[
            "priority",
            "round_robin",
            "load_balanced",
            "fastest_first",
            "health_aware",
            "cost_optimized",
            "adaptive",
        ],
        Meta(
            description="How the order of a request is chosen: `priority` tries the members as "
            "listed, `round_robin` begins with the next one at each request, `load_balanced` goes "
            "by weight, `fastest_first` by the time to the first token, `health_aware` by the "
            "health score, `cost_optimized` by cost tier and then by weight, `adaptive` by the "
            "time to the first token and what is under way, within the cheapest tier."
        ),
    ] = "priority"
    max_attempts: Annotated[
        int,
        Meta(
            description="Attempts for one request, over all members together, the first included.",
            ge=1,
            le=20,
        ),
    ] = 3
    health_threshold: Annotated[
        float,
        Meta(
            description="The health score, 0 to 1, below which the strategy `health_aware` asks a "
            "member last.",
            ge=0,
            le=1,
        ),
    ] = 0.5
    rebalance_interval: Annotated[
        Duration,
        Meta(
            description="How often the members are looked at anew: `health_aware` reads the "
            "scores, `fastest_first` and `adaptive` note who was not measured lately.",
            ge=0.1,
            le=3600,
        ),
    ] = 10.0
    fallback_on: Annotated[
        tuple[Refusal, ...],
        Meta(
            description="The refusals of a request after which the next member is asked: "
            "`model_not_found`, `content_filter`, `context_too_long`."
        ),
    ] = ("model_not_found",)
    hedge: Annotated[
        HedgeConfig,
        Meta(description="Whether a second provider is asked when the first is late."),
    ] = field(default_factory=HedgeConfig)
    on_broken_stream: Annotated[
        Literal["error", "resume"],
        Meta(
            description="What becomes of a stream that breaks after its first token: `error` ends "
            "it with an error, `resume` has another member continue it. A request may wish "
            "otherwise (`x-standby-on-broken-stream`)."
        ),
    ] = "error"
    translation: Annotated[
        Literal["lenient", "strict"],
        Meta(
            description="What becomes of a request for a member of another API when it says "
            "something that API has no counterpart for: `lenient` leaves that out and names it in "
            "`x-standby-dropped`, `strict` passes the member over. A request may wish otherwise "
            "(`x-standby-translation`)."
        ),
    ] = "lenient"
    timeouts: Annotated[
        GroupTimeoutsConfig, Meta(description="Bounds on the waits of a request to this group.")
    ] = field(default_factory=GroupTimeoutsConfig)


class ModelAlias(Struct, frozen=True, kw_only=True):
    """What a further model name stands for: a group, or one provider's model."""

    group: Annotated[str | None, Meta(description="The group it stands for.", min_length=1)] = None
    provider: Annotated[
        str | None, Meta(description="The provider it stands for, with `model`.", min_length=1)
    ] = None
    model: Annotated[
        str | None, Meta(description="The provider's model it stands for.", min_length=1)
    ] = None


class LimitsConfig(Struct, frozen=True, kw_only=True):
    """Bounds on sizes and counts."""

    max_connections: Annotated[
        int, Meta(description="Client connections at one time, all doors together.", ge=1)
    ] = 4096
    max_in_flight: Annotated[
        int,
        Meta(
            description="Requests being answered at one time, all doors together. One more is "
            "refused at once, and so is a client that would leave too few for others.",
            ge=1,
            le=1_000_000,
        ),
    ] = 4096
    max_in_flight_per_client: Annotated[
        int | None,
        Meta(
            description="The same of one client, which is a process at the socket or an address. "
            "Without it a client gets its fair share.",
            ge=1,
            le=1_000_000,
        ),
    ] = None
    max_line: Annotated[Size, Meta(description="A request's first line.", ge=1024, le=1024**2)] = (
        16 * 1024
    )
    max_header_bytes: Annotated[
        Size, Meta(description="A request's headers together.", ge=1024, le=16 * 1024**2)
    ] = 64 * 1024
    max_headers: Annotated[
        int, Meta(description="Number of headers of a request.", ge=8, le=10_000)
    ] = 128
    max_body: Annotated[Size, Meta(description="A request's body.", ge=1024, le=1024**3)] = (
        32 * 1024**2
    )
    max_held_bytes: Annotated[
        Size,
        Meta(
            description="Bodies of requests together, from their arrival to their answer; never "
            "less than `max_body`. Only those are counted that do not arrive in one piece.",
            ge=1024,
            le=64 * 1024**3,
        ),
    ] = 256 * 1024**2
    max_answer: Annotated[
        Size,
        Meta(description="A provider's plain answer, which is held whole.", ge=1024, le=1024**3),
    ] = 64 * 1024**2


class TimeoutsConfig(Struct, frozen=True, kw_only=True):
    """Bounds on waits between client and daemon, and on a request as a whole."""

    request: Annotated[
        Duration,
        Meta(
            description="One request from its arrival to its complete answer, all attempts "
            "together. A client may ask for less.",
            gt=0,
            le=86_400,
        ),
    ] = 600.0
    header: Annotated[
        Duration,
        Meta(description="For a client to send a request's headers.", gt=0, le=3600),
    ] = 10.0
    body: Annotated[
        Duration, Meta(description="For a client to send a request's body.", gt=0, le=3600)
    ] = 60.0
    write: Annotated[
        Duration,
        Meta(description="For a client to take some of its answer.", gt=0, le=3600),
    ] = 60.0
    idle: Annotated[
        Duration,
        Meta(description="How long an unused client connection is kept.", gt=0, le=86_400),
    ] = 120.0
    drain: Annotated[
        Duration,
        Meta(description="For open requests to finish when the daemon stops.", ge=0, le=86_400),
    ] = 30.0


class LoggingConfig(Struct, frozen=True, kw_only=True):
    """What is written to standard error."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="The least important kind of message that is written."),
    ] = "info"
    format: Annotated[
        Literal["auto", "human", "json"],
        Meta(
            description="`human` for people, `json` for one object a line; `auto` is `human` on a "
            "terminal and `json` elsewhere."
        ),
    ] = "auto"


class Config(Struct, frozen=True, kw_only=True):
    """A whole configuration, checked."""

    socket: Annotated[
        str,
        Meta(
            description="The Unix socket: an absolute path, or `auto` for "
            "`$XDG_RUNTIME_DIR/standby/standby.sock` (as root `/run/standby/standby.sock`, without "
            "either `standby-<uid>/standby.sock` in the temporary directory). `--socket` and "
            "`STANDBY_SOCKET` override it.",
            min_length=1,
        ),
    ] = "auto"
    tcp: Annotated[TcpConfig, Meta(description="The optional door on loopback TCP.")] = field(
        default_factory=TcpConfig
    )
    providers: Annotated[
        dict[Name, OneProvider],
        Meta(description="The providers by name. A name has letters, digits, `.`, `_` and `-`."),
    ] = field(default_factory=dict)
    groups: Annotated[
        dict[Name, GroupConfig],
        Meta(
            description="Groups of providers by name; a request asks for a group by giving its "
            "name as the model."
        ),
    ] = field(default_factory=dict)
    models: Annotated[
        dict[str, ModelAlias],
        Meta(description="Further model names, looked up before groups and providers."),
    ] = field(default_factory=dict)
    limits: Annotated[LimitsConfig, Meta(description="Bounds on sizes and counts.")] = field(
        default_factory=LimitsConfig
    )
    timeouts: Annotated[TimeoutsConfig, Meta(description="Bounds on waits.")] = field(
        default_factory=TimeoutsConfig
    )
    circuit_breaker: Annotated[
        CircuitBreakerConfig,
        Meta(description="When a failing provider is left alone; a provider may say otherwise."),
    ] = field(default_factory=CircuitBreakerConfig)
    retry: Annotated[
        RetryConfig,
        Meta(description="How the same provider is tried again; a provider may say otherwise."),
    ] = field(default_factory=RetryConfig)
    logging: Annotated[LoggingConfig, Meta(description="What is written to standard error.")] = (
        field(default_factory=LoggingConfig)
    )
