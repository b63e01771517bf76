"""What a configuration file's values mean."""

from pathlib import Path

import msgspec
import pytest

from providers.simulator import SimulatorSettings
from runtime.assembly import breaker_settings
from runtime.configuration import (
    Config,
    OpenAIProvider,
    ProviderRetryConfig,
    SimulatedProvider,
    load,
)
from runtime.routing.hedge_policy import HedgeSettings
from runtime.tree import groups
from tests.runtime.configuration.marked import examined


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    found = examined(folder, text, environ)
    assert found.config is not None, "\n".join(map(str, found.problems))
    return found.config


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~", "{}", "tcp:\nproviders:\n"])
def test_an_empty_file_means_the_defaults(tmp_path: Path, text: str) -> None:
    """What is left out, or left empty, has its default."""
    assert read(tmp_path, text) == Config()


def test_the_shape_of_the_documentation_is_understood(tmp_path: Path) -> None:
    """The whole of a usual file arrives as structs."""
    config = read(
        tmp_path,
        """\
        socket: /run/mine.sock
        tcp: {enabled: true, host: "::1", port: 0x1F90, token: "${STANDBY_TOKEN:-}"}
        providers:
          openai-main: {kind: openai, api_key: "${OPENAI_API_KEY:-}", models: [gpt-6-sol]}
          anthropic-main: {kind: anthropic, api_key: k, models: ["claude-*"]}
          local: {kind: openai, base_url: "http://127.0.0.1:11434/v1"}
          sim-a: {kind: simulated, wire: anthropic, models: [sim-1], simulator: {latency: 0.5s}}
        groups:
          chat:
            strategy: round_robin
            max_attempts: 5
            members: [{provider: openai-main, model: gpt-6-sol}, {provider: sim-a}]
        models: {fast: {group: chat}, mine: {provider: local, model: llama}}
        """,
        {"STANDBY_TOKEN": "t"},
    )
    assert config.socket == "/run/mine.sock"
    assert (config.tcp.enabled, config.tcp.host, config.tcp.port) == (True, "::1", 8080)
    assert config.tcp.token is not None
    assert config.tcp.token.reveal() == "t"
    assert list(config.providers) == ["openai-main", "anthropic-main", "local", "sim-a"]
    dialects = [provider.dialect for provider in config.providers.values()]
    assert dialects == ["openai", "anthropic", "openai", "anthropic"]
    simulated = config.providers["sim-a"]
    assert isinstance(simulated, SimulatedProvider)
    assert simulated.simulator.latency == 0.5
    chat = config.groups["chat"]
    assert (chat.strategy, chat.max_attempts) == ("round_robin", 5)
    assert [(member.provider, member.model) for member in chat.members] == [
        ("openai-main", "gpt-6-sol"),
        ("sim-a", "sim-1"),  # left out: the only model that sim-a lists
    ]
    assert config.models["fast"].group == "chat"
    assert (config.models["mine"].provider, config.models["mine"].model) == ("local", "llama")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("1.5 s", 1.5), ("'90s'", 90)],
)
def test_durations_have_a_unit(tmp_path: Path, text: str, seconds: float) -> None:
    assert read(tmp_path, f"timeouts: {{request: {text}}}").timeouts.request == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("2048B", 2048), ("64KiB", 65536), ("32MiB", 33554432), ("1 GiB", 2**30), ("2MB", 2_000_000)],
)
def test_sizes_have_a_unit(tmp_path: Path, text: str, count: int) -> None:
    assert read(tmp_path, f"limits: {{max_body: {text}}}").limits.max_body == count


@pytest.mark.parametrize(
    "word", ["no", "yes", "on", "off", "NO", "y", "n", "2026-11-23", "1:30", "08", "1e5"]
)
def test_words_stay_words(tmp_path: Path, word: str) -> None:
    """YAML 1.1's booleans, dates and base-60 numbers are plain text where text is expected."""
    text = f"providers: {{p: {{kind: openai, models: [{word}]}}}}"
    assert read(tmp_path, text).providers["p"].models == (word,)


@pytest.mark.parametrize(("word", "means"), [("true", True), ("True", True), ("FALSE", False)])
def test_true_and_false_are_the_only_booleans(tmp_path: Path, word: str, *, means: bool) -> None:
    assert read(tmp_path, f"retry: {{jitter: {word}}}").retry.jitter is means


def test_quoted_text_may_look_like_anything(tmp_path: Path) -> None:
    text = "providers: {p: {kind: openai, models: ['5', \"true\", '~', !!str 7]}}"
    assert read(tmp_path, text).providers["p"].models == ("5", "true", "~", "7")


def test_aliases_and_merge_keys_are_understood(tmp_path: Path) -> None:
    """An alias repeats a value, ``<<`` takes one in, and what is said at the place itself wins."""
    config = read(
        tmp_path,
        """\
        providers:
          a: &a {kind: openai, base_url: http://localhost:1/v1, queue_limit: 1, models: &m [x]}
          b: {<<: *a, queue_limit: 2}
          c: {<<: [{queue_limit: 3, kind: openai}, *a], models: *m}
        """,
    )
    assert [provider.queue_limit for provider in config.providers.values()] == [1, 2, 3]
    assert [provider.models for provider in config.providers.values()] == [("x",)] * 3


def test_a_provider_takes_from_all_what_it_does_not_say(tmp_path: Path) -> None:
    """Breaker and retry settings of a provider are complete: its own, then the file's."""
    config = read(
        tmp_path,
        """\
        circuit_breaker: {failure_threshold: 7, window: 10s}
        retry: {max_attempts: 2, budget_percent: 5}
        providers:
          a: {kind: simulated, circuit_breaker: {window: 20s}, retry: {jitter: false}}
          b: {kind: simulated}
        """,
    )
    a, b = config.providers.values()
    assert (a.circuit_breaker.failure_threshold, a.circuit_breaker.window) == (7, 20)
    assert a.retry == ProviderRetryConfig(max_attempts=2, jitter=False)
    assert b.circuit_breaker == config.circuit_breaker
    assert b.retry == ProviderRetryConfig(max_attempts=2)


def test_every_option_of_a_breaker_may_differ_by_provider(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        """\
        circuit_breaker: {slow_call_threshold: 8s, probe_timeout: 40s, account_recheck: 2m}
        providers:
          a:
            kind: simulated
            circuit_breaker: {slow_call_threshold: 500ms, slow_call_rate: 0.2, probe_timeout: 5s}
          b: {kind: simulated, circuit_breaker: {slow_call_threshold: 1h, account_recheck: 9s}}
        """,
    )
    a, b = (breaker_settings(each.circuit_breaker) for each in config.providers.values())
    assert (a.slow_call_threshold, a.slow_call_rate) == (0.5, 0.2)
    assert (a.probe_timeout, a.account_recheck, a.max_account_recheck) == (5, 120, 900)
    assert (b.slow_call_threshold, b.slow_call_rate) == (3600, 0.5)
    assert (b.probe_timeout, b.account_recheck) == (40, 9)


def test_what_is_doubtful_is_a_warning_and_no_problem(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        """\
        providers:
          a: {kind: openai, base_url: "http://llm.example/v1", api_key: k, models: [gpt-x]}
          b: {kind: openai, enabled: false, models: [m]}
        groups:
          g: {members: [{provider: a, model: gtp-x}]}
          h: {members: [{provider: b}]}
        """,
    )
    assert found.config is not None
    assert [str(warning).partition("config.yaml:")[2] for warning in found.warnings] == [
        "2:31: a gets its API key over http://, which anyone on the way can read",
        '5:38: "gtp-x" is not among the models that a lists: gpt-x. Did you mean "gpt-x"?',
        "6:6: no member of group h is enabled",
    ]


def test_a_group_that_hedges_and_has_nobody_to_ask_is_doubtful(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        """\
        providers: {a: {kind: simulated, models: [m]}, b: {kind: simulated, models: [m]}}
        groups:
          g: {members: [{provider: a}], hedge: {enabled: true}}
          h: {members: [{provider: a}, {provider: b}], max_attempts: 1, hedge: {enabled: true}}
          i: {members: [{provider: a}, {provider: b}], hedge: {enabled: true}}
          j: {members: [{provider: a}], hedge: {minimum_delay: 1s}}
        """,
    )
    assert found.config is not None
    assert [str(warning).partition("config.yaml:")[2] for warning in found.warnings] == [
        "3:40: group g has one provider only: there is no second one to ask",
        "4:72: max_attempts of group h is 1: that leaves no attempt for a second provider",
    ]
    made = groups(found.config)
    assert made["i"].hedge == HedgeSettings()
    assert made["j"].hedge is None


def test_a_group_that_is_not_told_what_it_goes_by_is_doubtful(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        """\
        providers: {a: {kind: simulated, models: [m]}}
        groups:
          g: {strategy: cost_optimized, members: [{provider: a}]}
          h: {fallback_on: [context_too_long], members: [{provider: a}]}
          i: {members: [{provider: a, fallback_on: [context_too_long]}]}
          j: {members: [{provider: a, fallback_on: [context_too_long], context_window: 8}]}
          k: {strategy: cost_optimized, members: [{provider: a, cost_tier: 0}]}
        """,
    )
    assert found.config is not None
    unknown = "has a context_window: after context_too_long nobody is known to take more"
    assert [str(warning).partition("config.yaml:")[2] for warning in found.warnings] == [
        "3:6: no member of group g has a cost_tier: all cost the same to cost_optimized",
        f"4:6: no member of group h {unknown}",
        f"5:6: no member of group i {unknown}",
    ]


def test_a_configuration_without_providers_is_doubtful(tmp_path: Path) -> None:
    (warning,) = examined(tmp_path, "socket: auto").warnings
    assert "no provider is enabled" in warning.message


class TestVariables:
    def test_they_are_replaced_anywhere_in_a_value(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, base_url: 'http://${HOST}:${PORT:-80}/v1'}}"
        provider = read(tmp_path, text, {"HOST": "a.example"}).providers["p"]
        assert isinstance(provider, OpenAIProvider)
        assert provider.base_url == "http://a.example:80/v1"

    def test_they_may_give_numbers_durations_and_booleans(self, tmp_path: Path) -> None:
        text = """\
        tcp: {port: "${PORT}"}
        retry: {jitter: "${JITTER}"}
        timeouts: {drain: "${DRAIN:-5s}"}
        """
        config = read(tmp_path, text, {"PORT": "8080", "JITTER": "false"})
        assert (config.tcp.port, config.retry.jitter, config.timeouts.drain) == (8080, False, 5)

    def test_a_default_is_used_when_a_variable_is_not_set_or_empty(self, tmp_path: Path) -> None:
        text = "socket: ${S:-/run/x.sock}"
        assert read(tmp_path, text).socket == "/run/x.sock"
        assert read(tmp_path, text, {"S": ""}).socket == "/run/x.sock"
        assert read(tmp_path, text, {"S": "/run/y.sock"}).socket == "/run/y.sock"

    def test_what_comes_to_nothing_counts_as_left_out(self, tmp_path: Path) -> None:
        text = "{socket: '${S:-}', tcp: {port: '${P:-}'}, logging: {level: '${L:-}'}}"
        assert read(tmp_path, text) == Config()

    def test_a_proxy_that_comes_to_nothing_counts_as_left_out(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, proxy: '${P:-}'}}"
        left_out = read(tmp_path, "providers: {p: {kind: openai}}").providers["p"]
        assert read(tmp_path, text).providers["p"] == left_out

    def test_two_dollars_are_one(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, models: ['$${X}', 'a$b', '$$$$', '$']}}"
        models = read(tmp_path, text, {"X": "no"}).providers["p"].models
        assert models == ("${X}", "a$b", "$$", "$")

    def test_what_came_out_of_one_is_not_looked_through_again(self, tmp_path: Path) -> None:
        text = "providers: {p: {kind: openai, models: ['${A}']}}"
        models = read(tmp_path, text, {"A": "${B}$$", "B": "no"}).providers["p"].models
        assert models == ("${B}$$",)

    def test_keys_and_comments_are_not_replaced(self, tmp_path: Path) -> None:
        read(tmp_path, "# ${NOPE}\nsocket: auto")
        found = examined(tmp_path, "${S}: auto", {"S": "socket"})
        assert 'unknown key "${S}"' in found.problems[0].message


def test_a_simulators_settings_can_be_made_from_the_file(tmp_path: Path) -> None:
    """What the file says of faults and pace has the names that the simulator knows."""
    config = read(
        tmp_path,
        """\
        providers:
          a:
            kind: simulated
            simulator:
              latency: 20ms
              tokens_per_second: 0
              answer_words: 3
              seed: 9
              faults:
                - {fault: "status_429:2", probability: 0.5, every: 3, from: 1m, until: 2m}
                - {fault: hang}
        """,
    )
    provider = config.providers["a"]
    assert isinstance(provider, SimulatedProvider)
    settings = msgspec.convert(provider.simulator, SimulatorSettings, from_attributes=True)
    assert (settings.latency, settings.tokens_per_second) == (0.02, 0)
    assert (settings.answer_words, settings.seed) == (3, 9)
    first, second = settings.faults
    assert (first.fault, first.probability, first.every) == ("status_429:2", 0.5, 3)
    assert (first.from_seconds, first.until_seconds) == (60, 120)
    assert (second.fault, second.probability, second.until_seconds) == ("hang", 1, None)


def test_the_usual_places_are_searched_when_no_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "standby"
    folder.mkdir()
    (folder / "config.yaml").write_text("tcp: {port: 1}")
    assert load(environ={"XDG_CONFIG_HOME": str(tmp_path)}).tcp.port == 1
