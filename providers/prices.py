"""What tokens cost: prices from the configuration or from a table, and what is simply not known.

The table is that of the ``genai-prices`` package, bundled with it; nothing is fetched. Importing it
takes a third of a second and some 16 MiB, so this module, the only one that knows it, does so in
``PriceTable.load`` alone, which is to be called in a thread and only when somebody asks for a
price. Published prices are not always right, and no invoice is computed here.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from providers.chat_request import DEFAULT_MAX_TOKENS, AnyRequest, chat_bodies
from providers.patterns import matches_any
from providers.wire import Usage

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot

__all__ = [
    "CHARACTERS_PER_TOKEN",
    "NO_PRICES",
    "Cost",
    "PriceTable",
    "Prices",
    "characters_of",
    "cost_of",
    "estimate_usage",
]

CHARACTERS_PER_TOKEN: Final = 4
"""What an estimate of a prompt's tokens assumes. English prose has about four characters a token;
code and other languages have fewer, so that they cost more than estimated."""

_MILLION: Final = Decimal(1_000_000)
_NOT_TEXT: Final = frozenset({"data", "file_data", "image_url", "signature", "source"})
"""Keys whose values are no text of the prompt: pictures, sound, files."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's tokens cost, in US dollars a million.

    Attributes:
        input: Tokens of the prompt.
        output: Tokens of the answer, reasoning included.
        cache_read: Tokens of the prompt that are read from a cache; None as ``input``.
        cache_write: Tokens of the prompt that are written to a cache; None as ``input``.
    """

    input: float
    output: float
    cache_read: float | None = None
    cache_write: float | None = None


NO_PRICES: Final = Prices(input=0, output=0)
"""Of simulated providers: it is known that they cost nothing."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What some tokens cost, in US dollars.

    Attributes:
        total: The sum; None where it is not known, which is not the same as nothing.
        input: The part for the prompt.
        output: The part for the answer.
        usage: The tokens.
        estimated: Whether the tokens are an estimate, and not what an upstream counted.
        source: Where the prices are from: the ``configuration``, the ``table``, the ``simulator``,
            or nowhere.
        as_of: The date of the table's prices (see ``PriceTable.as_of``); None without the table.
    """

    total: Decimal | None = None
    input: Decimal | None = None
    output: Decimal | None = None
    usage: Usage
    estimated: bool = False
    source: Literal["configuration", "table", "simulator", "unknown"] = "unknown"
    as_of: date | None = None

    @property
    def known(self) -> bool:
        """Whether there is a price."""
        return self.total is not None


class PriceTable:
    """The bundled table of prices.

    Attributes:
        version: Which table it is, for people.
        as_of: The day of the latest change of a price that it knows of: it is at least as new.

    Args:
        snapshot: The table, as its package has it.
    """

    def __init__(self, snapshot: "DataSnapshot") -> None:
        self._snapshot = snapshot
        self.version = f"genai-prices {version('genai-prices')}"
        self.as_of = _latest_change(snapshot)

    @classmethod
    def load(cls) -> "PriceTable":
        """Load the table; blocks for a third of a second, so call it in a thread."""
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415 - see the module

        return cls(get_snapshot())

    def cost(self, usage: Usage, model: str, base_url: str) -> Cost | None:
        """Return what tokens cost now at the maker of an API.

        Args:
            usage: The tokens.
            model: The model's name there.
            base_url: Where the API is: the same model costs differently elsewhere.

        Returns:
            None when the table does not know the address or the model, or has no price for it.
        """
        from genai_prices import Usage as TableUsage  # noqa: PLC0415 - see the module

        counted = TableUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )
        try:
            found = self._snapshot.calc(counted, model, None, base_url, None)
        except (LookupError, ValueError):
            # Not in the table; or counts that contradict each other, as no sound upstream has them.
            return None
        priced = found.model_price
        if (usage.input_tokens and priced.input_mtok is None) or (
            usage.output_tokens and priced.output_mtok is None
        ):
            return None  # a price for a part of it is none
        return Cost(
            total=found.total_price,
            input=found.input_price,
            output=found.output_price,
            usage=usage,
            source="table",
            as_of=self.as_of,
        )


def cost_of(
    usage: Usage,
    model: str,
    *,
    own: Sequence[tuple[str, Prices]] = (),
    simulated: bool = False,
    base_url: str = "",
    table: PriceTable | None = None,
    estimated: bool = False,
) -> Cost:
    """Return what tokens cost at one provider.

    Args:
        usage: The tokens.
        model: The provider's model.
        own: The provider's configured prices, by model name or pattern. A name goes before
            patterns, an earlier pattern before a later one, and all before the table.
        simulated: Whether the provider is simulated: it costs nothing unless ``own`` says so.
        base_url: The provider's address.
        table: The table; without one only ``own`` is looked at.
        estimated: Whether the tokens are an estimate.
    """
    prices = dict(own).get(model)
    if prices is None:
        prices = next((each for pattern, each in own if matches_any(model, (pattern,))), None)
    if prices is not None:
        found = _cost(usage, prices, "configuration")
    elif simulated:
        found = _cost(usage, NO_PRICES, "simulator")
    else:
        known = None if table is None else table.cost(usage, model, base_url)
        found = known or Cost(usage=usage, as_of=None if table is None else table.as_of)
    return msgspec.structs.replace(found, estimated=True) if estimated else found


def estimate_usage(request: AnyRequest) -> Usage:
    """Return the tokens that a request may use, roughly.

    The prompt has one token for every ``CHARACTERS_PER_TOKEN`` characters of text in messages,
    system and tools, roles and types included; pictures, sound and files are not counted. The
    answer is taken to be as long as the request allows, or ``DEFAULT_MAX_TOKENS`` where it sets no
    bound. Of several choices (``n``) each has that length.

    Args:
        request: The request; it need not name a model.

    Raises:
        WireError: It is no request.
    """
    body = chat_bodies(request, model="any")[0].members
    characters = sum(characters_of(body.get(key)) for key in ("messages", "system", "tools"))
    bound = body.get("max_completion_tokens") or body.get("max_tokens")
    output = bound if isinstance(bound, int) and bound > 0 else DEFAULT_MAX_TOKENS
    choices = body.get("n")
    if isinstance(choices, int) and choices > 1:
        output *= choices
    return Usage(math.ceil(characters / CHARACTERS_PER_TOKEN), output)


def _cost(usage: Usage, prices: Prices, source: Literal["configuration", "simulator"]) -> Cost:
    read, written = usage.cache_read_tokens, usage.cache_write_tokens
    fresh = max(0, usage.input_tokens - read - written)
    asked = _price(prices.input)
    paid = [
        fresh * asked,
        read * (asked if prices.cache_read is None else _price(prices.cache_read)),
        written * (asked if prices.cache_write is None else _price(prices.cache_write)),
    ]
    before = sum(paid, Decimal(0)) / _MILLION
    after = usage.output_tokens * _price(prices.output) / _MILLION
    return Cost(total=before + after, input=before, output=after, usage=usage, source=source)


def _price(value: float) -> Decimal:
    """Return a configured number as it was written, not as the nearest binary fraction."""
    return Decimal(str(value))


def characters_of(value: object) -> int:
    """Return the characters of text in a part of a request, its keys and pictures left out.

    Args:
        value: The part, as decoded.
    """
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(characters_of(each) for key, each in value.items() if key not in _NOT_TEXT)
    if isinstance(value, list | tuple):
        return sum(map(characters_of, value))
    return 0


def _latest_change(snapshot: "DataSnapshot") -> date | None:
    today = datetime.now(UTC).date()
    changes = [
        start
        for provider in snapshot.providers
        for model in provider.models
        for start in _starts(model.prices)
        if start <= today
    ]
    return max(changes, default=None)


def _starts(prices: Any) -> list[date]:
    """Return the days from which a model's prices hold; none for prices without conditions."""
    if not isinstance(prices, list):
        return []
    found = (getattr(each.constraint, "start_date", None) for each in prices)
    return [each for each in found if each is not None]
