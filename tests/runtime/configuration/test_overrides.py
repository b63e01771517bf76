"""Environment variables that override the file without being mentioned in it."""

from pathlib import Path

import pytest

from runtime.configuration import ConfigurationError, UpstreamProvider, load
from runtime.routing.plan import STRATEGIES
from tests.runtime.configuration.marked import examined

TEXT = """\
circuit_breaker: {failure_threshold: 9}
providers:
  openai: {kind: openai}
  local: {kind: openai, base_url: http://localhost:1/v1}
  anthropic: {kind: anthropic}
  sim: {kind: simulated, models: [m], retry: {max_attempts: 7}}
groups:
  g: {strategy: priority, max_attempts: 2, members: [{provider: sim}]}
  h: {members: [{provider: sim}]}
"""


def test_numbers_and_choices_win_over_the_file(tmp_path: Path) -> None:
    """Each one reaches its key; times are in milliseconds; a provider's own word stays."""
    config = examined(
        tmp_path,
        TEXT,
        {
            "FAILOVER_STRATEGY": "round_robin",
            "FAILOVER_MAX_ATTEMPTS": "4",
            "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "8",
            "CIRCUIT_BREAKER_RECOVERY_TIMEOUT": "60000",
            "CIRCUIT_BREAKER_HALF_OPEN_LIMIT": "3",
            "RETRY_MAX_ATTEMPTS": "5",
            "RETRY_BASE_DELAY_MS": "100",
            "RETRY_MAX_DELAY_MS": "1000",
            "RETRY_BACKOFF_FACTOR": "1.5",
            "RETRY_JITTER": "False",
            "OPENAI_TIMEOUT": "30000",
            "ANTHROPIC_TIMEOUT": "1500",
            "IGNORED": "x",
        },
    ).config
    assert config is not None
    assert {group.strategy for group in config.groups.values()} == {"round_robin"}
    assert {group.max_attempts for group in config.groups.values()} == {4}
    breaker = config.circuit_breaker
    assert (breaker.failure_threshold, breaker.recovery_timeout) == (8, 60)
    assert breaker.half_open_limit == 3
    retry = config.retry
    assert (retry.max_attempts, retry.base_delay_ms, retry.max_delay_ms) == (5, 100, 1000)
    assert (retry.backoff_factor, retry.jitter) == (1.5, False)
    assert config.providers["sim"].circuit_breaker == breaker
    assert config.providers["sim"].retry.max_attempts == 7
    assert config.providers["openai"].retry.max_attempts == 5
    totals = {name: provider.timeouts.total for name, provider in config.providers.items()}
    assert totals == {"openai": 30, "local": None, "anthropic": 1.5, "sim": None}


def test_an_address_only_fills_in_what_the_file_leaves_open(tmp_path: Path) -> None:
    environ = {"OPENAI_BASE_URL": "https://proxy.example/v1", "OPENAI_API_KEY": "k"}
    config = examined(tmp_path, TEXT, environ).config
    assert config is not None
    openai, local = config.providers["openai"], config.providers["local"]
    assert isinstance(openai, UpstreamProvider)
    assert isinstance(local, UpstreamProvider)
    assert (openai.base_url, bool(openai.api_key)) == ("https://proxy.example/v1", True)
    assert (local.base_url, bool(local.api_key)) == ("http://localhost:1/v1", False)


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    environ = {"RETRY_MAX_ATTEMPTS": "", "OPENAI_BASE_URL": "", "FAILOVER_STRATEGY": " "}
    assert examined(tmp_path, TEXT, environ).config == examined(tmp_path, TEXT).config


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_every_strategy_can_be_said_by_the_environment(tmp_path: Path, strategy: str) -> None:
    config = examined(tmp_path, TEXT, {"FAILOVER_STRATEGY": strategy}).config
    assert config is not None
    assert {group.strategy for group in config.groups.values()} == {strategy}


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FAILOVER_STRATEGY", "prioritty", 'adaptive. Did you mean "priority"'),
        ("FAILOVER_MAX_ATTEMPTS", "0", "a whole number from 1 to 20"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "30s", "whole milliseconds, such as 30000"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "0", "a duration above 0s"),
        ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "600000", "(10m) is above max_recovery_timeout"),
        ("RETRY_BASE_DELAY_MS", "9000", "base_delay_ms (9000) is above max_delay_ms (5000)"),
        ("RETRY_BACKOFF_FACTOR", "x", "a number from 1 to 100"),
        ("RETRY_JITTER", "maybe", "true or false"),
        ("OPENAI_BASE_URL", "proxy.example", "it begins with http:// or https://"),
        ("ANTHROPIC_TIMEOUT", "-1", "whole milliseconds"),
    ],
)
def test_a_mistake_names_the_variable(tmp_path: Path, variable: str, value: str, said: str) -> None:
    (problem,) = examined(tmp_path, TEXT, {variable: value}).problems
    assert str(problem).startswith(f"environment variable {variable}: ")
    assert said in problem.message


def test_an_address_that_leads_back_to_the_daemon_is_refused(tmp_path: Path) -> None:
    """A client's OPENAI_BASE_URL in the daemon's own environment would send requests in circles."""
    file = tmp_path / "config.yaml"
    file.write_text("tcp: {enabled: true, token: t}\nproviders: {p: {kind: openai}}")
    with pytest.raises(ConfigurationError, match=r"OPENAI_BASE_URL: .* own TCP door"):
        load(file, environ={"OPENAI_BASE_URL": "http://127.0.0.1:4003/v1"})
