"""What tokens cost: from the configuration, from the table, or not known, which is not nothing."""

import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from providers.chat_request import DEFAULT_MAX_TOKENS
from providers.openai import OpenAIProvider
from providers.prices import Prices, PriceTable, cost_of, estimate_usage
from providers.settings import ProviderSettings
from providers.wire import Usage

USED = Usage(1000, 100, 400, 200, 50)
OPENAI = "https://api.openai.com/v1"


@pytest.fixture(scope="module")
def table() -> PriceTable:
    return PriceTable.load()


def test_a_configured_price_counts_each_kind_of_token() -> None:
    prices = Prices(input=2, output=10, cache_read=0.2, cache_write=2.5)
    cost = cost_of(USED, "m", own=[("m", prices)])
    # 400 fresh, 400 read, 200 written; reasoning is part of the answer.
    assert cost.input == Decimal("0.00138")
    assert cost.output == Decimal("0.001")
    assert cost.total == Decimal("0.00238")
    assert (cost.source, cost.known, cost.estimated) == ("configuration", True, False)


def test_without_prices_for_the_cache_its_tokens_cost_as_others() -> None:
    cost = cost_of(USED, "m", own=[("m", Prices(input=1, output=0))])
    assert cost.total == Decimal("0.001")


def test_a_name_goes_before_patterns_and_an_earlier_pattern_before_a_later() -> None:
    own = [
        ("gpt-*", Prices(input=1, output=0)),
        ("gpt-6-*", Prices(input=2, output=0)),
        ("gpt-6-sol", Prices(input=3, output=0)),
    ]
    used = Usage(1_000_000, 0)
    assert cost_of(used, "gpt-6-sol", own=own).total == 3
    assert cost_of(used, "gpt-6-luna", own=own).total == 1


def test_the_table_knows_public_models_at_their_makers_address(table: PriceTable) -> None:
    cost = cost_of(Usage(1_000_000, 1_000_000), "gpt-5", base_url=OPENAI, table=table)
    assert cost.total == Decimal("11.25")
    assert (cost.source, cost.as_of) == ("table", table.as_of)
    cached = cost_of(Usage(1_000_000, 0, 1_000_000), "gpt-5", base_url=OPENAI, table=table)
    assert cached.total == Decimal("0.125")


@pytest.mark.parametrize(
    ("model", "base_url"),
    [
        ("no-such-model", OPENAI),
        ("gpt-5", "http://127.0.0.1:11434/v1"),
        ("gpt-5", "https://api.anthropic.com"),
    ],
)
def test_what_the_table_does_not_know_is_unknown_and_not_nothing(
    table: PriceTable, model: str, base_url: str
) -> None:
    cost = cost_of(Usage(10, 10), model, base_url=base_url, table=table)
    assert (cost.total, cost.input, cost.output) == (None, None, None)
    assert (cost.source, cost.known, cost.as_of) == ("unknown", False, table.as_of)


def test_counts_that_contradict_each_other_have_no_price(table: PriceTable) -> None:
    cost = cost_of(Usage(10, 10, cache_read_tokens=50), "gpt-5", base_url=OPENAI, table=table)
    assert not cost.known


def test_a_configured_price_goes_before_the_table(table: PriceTable) -> None:
    own = [("gpt-5", Prices(input=100, output=0))]
    cost = cost_of(Usage(1_000_000, 0), "gpt-5", own=own, base_url=OPENAI, table=table)
    assert (cost.total, cost.source) == (Decimal(100), "configuration")


def test_without_the_table_only_configured_prices_are_known() -> None:
    assert cost_of(USED, "gpt-5", base_url=OPENAI).source == "unknown"


def test_a_simulated_provider_costs_nothing_unless_it_is_said_to() -> None:
    cost = cost_of(USED, "m", simulated=True)
    assert (cost.total, cost.source) == (Decimal(0), "simulator")
    own = [("m", Prices(input=1, output=1))]
    assert cost_of(USED, "m", own=own, simulated=True).source == "configuration"


def test_the_table_says_how_new_it_is(table: PriceTable) -> None:
    assert table.as_of is not None
    assert table.as_of <= datetime.now(UTC).date()
    assert table.version.startswith("genai-prices ")


def test_a_requests_tokens_are_estimated_by_its_characters() -> None:
    assert estimate_usage("x" * 41) == Usage(12, DEFAULT_MAX_TOKENS)
    request = {
        "messages": [
            {"role": "user", "content": "x" * 16},
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "y" * 99}}]},
        ],
        "tools": [{"type": "function"}],
        "max_completion_tokens": 30,
        "n": 2,
    }
    # roles 2 x 4, text 16, part types 9 and tool type 8; the picture's address is none of it.
    assert estimate_usage(request) == Usage(11, 60)


def test_a_provider_estimates_requests_and_counts_usage() -> None:
    prices = Prices(input=1, output=1)
    settings = ProviderSettings(
        name="a", kind="openai", base_url="http://127.0.0.1:9/v1", prices=(("m-*", prices),)
    )
    provider = OpenAIProvider(settings)
    counted = provider.estimate_cost(Usage(1_000_000, 0), "m-1")
    assert (counted.total, counted.estimated) == (Decimal(1), False)
    estimated = provider.estimate_cost("x" * 396, "m-1")
    assert estimated.usage == Usage(100, DEFAULT_MAX_TOKENS)
    assert estimated.estimated
    assert not provider.estimate_cost("x", "other").known


def test_neither_the_daemon_nor_a_program_imports_the_table_before_it_is_asked_for() -> None:
    program = (
        "import sys, runtime.application, runtime.in_process; "
        "print([n for n in ('genai_prices', 'pydantic') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
