"""The default file, the JSON Schema and the reference say the same as the structs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from runtime.assembly import breaker_settings
from runtime.configuration import (
    CircuitBreakerConfig,
    Config,
    ProviderRetryConfig,
    RetryConfig,
    SimulatedProvider,
    default_config_path,
    examine,
    json_schema,
)
from runtime.configuration.overrides import OVERRIDES
from runtime.configuration.shape import (
    Choice,
    Field,
    Hidden,
    Number,
    Section,
    Series,
    Shape,
    Table,
    Text,
    Truth,
    Unit,
    Variant,
    fields,
)
from runtime.configuration.writer import written
from runtime.routing.breaker import BreakerSettings

ROOT = default_config_path().parent
OPTION = re.compile(r"^( *)#(?=[a-z])", re.MULTILINE)


def sections(struct: type[Struct] = Config) -> Iterator[type[Struct]]:
    """Return every struct of the configuration, each once."""
    seen: dict[type[Struct], None] = {}

    def visit(shape: Shape) -> None:
        match shape:
            case Section(inner):
                if inner not in seen:
                    seen[inner] = None
                    for declared in fields(inner).values():
                        visit(declared.shape)
            case Variant(_, options):
                for option in options.values():
                    visit(Section(option))
            case Table(item) | Series(item):
                visit(item)

    visit(Section(struct))
    return iter(seen)


class TestTheDefaultFile:
    def test_it_works_with_nothing_in_the_environment(self) -> None:
        """Real providers wait for their keys, simulated ones of both APIs answer."""
        found = examine(default_config_path(), environ={})
        assert (found.problems, found.warnings) == ([], [])
        assert found.config is not None
        providers = found.config.providers
        ready = {name for name, one in providers.items() if one.enabled and one.configured}
        assert ready == {"sim-a", "sim-b", "sim-claude"}
        assert not providers["openai-main"].configured
        members = [providers[member.provider] for member in found.config.groups["chat"].members]
        assert {one.dialect for one in members if one.configured} == {"openai", "anthropic"}

    def test_taking_the_marks_off_its_options_changes_nothing(self, tmp_path: Path) -> None:
        """What it shows as an option's default is the default."""
        text = default_config_path().read_text()
        file = tmp_path / "config.yaml"
        file.write_text(OPTION.sub(r"\1", text))
        assert len(OPTION.findall(text)) > 50
        found = examine(file, environ={})
        assert found.problems == []
        assert found.config == examine(default_config_path(), environ={}).config

    def test_it_shows_every_key(self) -> None:
        text = OPTION.sub(r"\1", default_config_path().read_text())
        for struct in sections():
            for key in fields(struct):
                if key not in {"every", "from", "until"}:  # of rare use: in the reference only
                    assert re.search(rf"\b{key}:", text), f"{struct.__name__}.{key}"


class TestTheSchema:
    def test_the_file_in_the_package_is_up_to_date(self) -> None:
        """Editors read it from there: the first line of config.yaml names it."""
        first_line = default_config_path().read_text().partition("\n")[0]
        file = ROOT / first_line.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(file.read_text()) == json_schema()

    def test_every_key_is_described(self) -> None:
        schema = json_schema()
        for name, definition in [("Config", schema), *schema["$defs"].items()]:
            assert definition["description"], name
            for key, value in definition.get("properties", {}).items():
                assert value["description"], f"{name}.{key}"

    def test_unknown_keys_are_refused_and_needed_ones_are_named(self) -> None:
        schema = json_schema()
        assert schema["additionalProperties"] is False
        group = schema["$defs"]["GroupConfig"]
        assert group["additionalProperties"] is False
        assert group["required"] == ["members"]
        providers = schema["properties"]["providers"]
        kinds = [
            schema["$defs"][option["$ref"].rpartition("/")[2]]["properties"]["kind"]["const"]
            for option in providers["additionalProperties"]["oneOf"]
        ]
        assert kinds == ["openai", "anthropic", "simulated"]

    def test_a_proxy_must_not_be_left_blank_as_the_reader_has_it_too(self) -> None:
        for kind in ("OpenAIProvider", "AnthropicProvider"):
            proxy = json_schema()["$defs"][kind]["properties"]["proxy"]
            assert proxy["type"] == "string"
            assert re.search(proxy["pattern"], "${PROXY:-}")
            assert not re.search(proxy["pattern"], " ")

    def test_defaults_are_written_as_in_a_file(self) -> None:
        definitions = json_schema()["$defs"]
        assert definitions["TimeoutsConfig"]["properties"]["request"]["default"] == "10m"
        assert definitions["LimitsConfig"]["properties"]["max_body"]["default"] == "32MiB"

    def test_every_reference_leads_somewhere(self) -> None:
        schema = json_schema()
        for reference in re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)):
            assert reference in schema["$defs"]


def type_name(declared: Field) -> str:
    match declared.shape:
        case Text() | Hidden():
            return "text"
        case Truth():
            return "true or false"
        case Choice(words):
            return " or ".join(f"`{word}`" for word in words)
        case Number(whole, unit):
            plain = "whole number" if whole else "number"
            names = {Unit.NONE: plain, Unit.MILLISECONDS: "milliseconds"}
            return names.get(unit, unit.value)
        case Series():
            return "list"
        case _:
            return "section"


def default_text(declared: Field) -> str:
    if declared.required:
        return "needed"
    default: Any = declared.default
    if default is None or isinstance(declared.shape, (Section, Variant)) or default in ("", (), {}):
        return "none"
    value = written(declared.shape, default)
    if isinstance(value, list):
        return f"`[{', '.join(value)}]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def row(declared: Field) -> str:
    description = declared.description.replace("|", "\\|")
    return (
        f"| `{declared.name}` | {type_name(declared)} | {default_text(declared)} | {description} |"
    )


@pytest.mark.parametrize("struct", list(sections()), ids=lambda struct: struct.__name__)
def test_the_reference_has_every_key_with_its_type_default_and_meaning(
    struct: type[Struct],
) -> None:
    reference = (ROOT / "docs/configuration.md").read_text()
    for declared in fields(struct).values():
        assert row(declared) in reference


def test_the_reference_names_every_override() -> None:
    reference = (ROOT / "docs/configuration.md").read_text()
    for override in OVERRIDES:
        assert f"| `{override.variable}` |" in reference


def test_a_providers_retries_are_those_of_all_but_for_the_budget() -> None:
    assert set(fields(RetryConfig)) - set(fields(ProviderRetryConfig)) == {
        "budget_percent",
        "budget_floor",
    }
    assert "retry" in fields(SimulatedProvider)


def test_every_option_of_a_breaker_reaches_it() -> None:
    """By the same name and with the same default."""
    assert CircuitBreakerConfig.__struct_fields__ == BreakerSettings.__struct_fields__
    assert breaker_settings(CircuitBreakerConfig()) == BreakerSettings()
    changed = CircuitBreakerConfig(probe_timeout=1.0, account_recheck=2.0, max_account_recheck=3.0)
    arrived = breaker_settings(changed)
    assert (arrived.probe_timeout, arrived.account_recheck, arrived.max_account_recheck) == (
        1.0,
        2.0,
        3.0,
    )
