"""The simulator's settings say what is wrong with them."""

from typing import Any

import msgspec
import pytest

from providers.simulator import FAULTS, Fault, FaultRule, SimulatorSettings, parse_fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hang", Fault("hang")),
        (" status_429:2.5 ", Fault("status_429", 2.5)),
        ("slow_first_token", Fault("slow_first_token", 30.0)),
        ("cut_midstream:3", Fault("cut_midstream", 3)),
    ],
)
def test_a_fault_is_read_as_written(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hangs", "did you mean hang?"),
        ("zzz", "there are none, status_400"),
        ("hang:3", "takes no number"),
        ("status_429:soon", "takes a number from 0 to 86400 (seconds of the Retry-After header)"),
        ("status_429:-1", "takes a number"),
        ("status_429:nan", "takes a number"),
    ],
)
def test_a_wrong_fault_is_refused_with_what_is_expected(text: str, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_fault(text)
    assert words in str(caught.value)


def test_every_fault_is_described() -> None:
    for name, kind in FAULTS.items():
        assert kind.does.endswith("."), name


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latency": -1}, "latency: expected seconds from 0 to 3600, not -1"),
        ({"tokens_per_second": float("nan")}, "tokens_per_second: expected"),
        ({"answer_words": 0}, "answer_words: expected"),
        ({"models": ("a!b",)}, "models: expected names without '!'"),
        ({"max_connections": 0}, "max_connections: expected"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        SimulatorSettings(**settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"fault": "status_999"}, "did you mean status_"),
        ({"fault": "hang", "probability": 2}, "probability: expected a number from 0 to 1"),
        ({"fault": "hang", "every": 0}, "every: expected a number from 1"),
        ({"fault": "hang", "from_seconds": 5, "until_seconds": 5}, "must be later than from"),
    ],
)
def test_a_wrong_rule_is_refused_by_name(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        FaultRule(**rule)
    assert words in str(caught.value)


def test_settings_are_read_from_plain_data_and_unknown_names_refused() -> None:
    data = {"latency": 0.1, "faults": [{"fault": "hang", "every": 2, "from": 1, "until": 9}]}
    settings = msgspec.convert(data, SimulatorSettings)
    assert settings.faults == (
        FaultRule(fault="hang", every=2, from_seconds=1.0, until_seconds=9.0),
    )
    with pytest.raises(msgspec.ValidationError, match="lateness"):
        msgspec.convert({"lateness": 1}, SimulatorSettings)
    with pytest.raises(msgspec.ValidationError, match=r"faults\[0\]"):
        msgspec.convert({"faults": [{"fault": "nope"}]}, SimulatorSettings)


def test_the_key_is_never_shown() -> None:
    assert "secret" not in repr(SimulatorSettings(api_key="secret"))
