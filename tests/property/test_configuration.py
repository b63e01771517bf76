"""Properties of reading a configuration, whatever stands in it."""

import re
import string
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runtime.configuration import Config, Examination, examine, redacted
from runtime.configuration.shape import Choice, Number, Shape, Truth, Unit, fields
from runtime.configuration.units import format_duration, format_size, parse_duration, parse_size
from runtime.configuration.variables import escape, expand
from runtime.configuration.writer import written

KEY_LINE = re.compile(r"(?P<before> *(?:- )?)(?P<key>[a-z_]+):")

printable = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="!"),
    min_size=1,
)
names = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Return values of a shape as they stand in a file."""
    match shape:
        case Truth():
            return st.booleans()
        case Choice(words):
            return st.sampled_from(words)
        case Number(whole=True):
            return st.integers(int(shape.ge or 0), int(shape.le or 10_000)).map(
                lambda number: written(shape, number)
            )
        case Number():
            low = shape.ge if shape.ge is not None else (shape.gt or 0) + 0.001
            numbers = st.floats(low, shape.le or 10_000, allow_nan=False)
            if shape.unit is Unit.DURATION:
                numbers = numbers.map(lambda number: max(round(number, 3), low))
            else:
                numbers = numbers.map(lambda number: float(f"{number:.6f}"))
            return numbers.map(lambda number: written(shape, number))
    return st.text(string.ascii_letters, min_size=1)


def section(struct: Any, *left_out: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return a section with any of its plain keys."""
    plain = {
        name: values(declared.shape)
        for name, declared in fields(struct).items()
        if name not in left_out and isinstance(declared.shape, (Truth, Choice, Number))
    }
    return st.fixed_dictionaries({}, optional=plain)


def kind(struct: Any) -> Any:
    """Return the struct behind a section of the whole."""
    return type(fields(Config)[struct].default)


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Return a configuration without mistakes, as a mapping."""
    breaker = section(
        kind("circuit_breaker"),
        "recovery_timeout",
        "max_recovery_timeout",
        "account_recheck",
        "max_account_recheck",
    )
    retry = section(kind("retry"), "base_delay_ms", "max_delay_ms")
    own_retry = section(
        kind("retry"), "base_delay_ms", "max_delay_ms", "budget_percent", "budget_floor"
    )
    providers: dict[str, dict[str, Any]] = {}
    for name in draw(st.lists(names, unique=True, min_size=1, max_size=4)):
        provider: dict[str, Any] = {
            "kind": draw(st.sampled_from(["openai", "anthropic", "simulated"])),
            "models": draw(st.lists(printable, unique=True, min_size=1, max_size=3)),
            "circuit_breaker": draw(breaker),
            "retry": draw(own_retry),
            "queue_limit": draw(st.integers(0, 100_000)),
        }
        provider["models"] = [escape(model) for model in provider["models"]]
        if provider["kind"] == "simulated":
            provider["wire"] = draw(st.sampled_from(["openai", "anthropic"]))
        providers[name] = provider
    chosen = draw(st.lists(st.sampled_from(sorted(providers)), unique=True, min_size=1))
    members = [{"provider": name, "model": draw(printable.map(escape))} for name in chosen]
    group = {
        "strategy": draw(st.sampled_from(["priority", "round_robin"])),
        "max_attempts": draw(st.integers(1, 20)),
        "members": members,
    }
    return {
        "socket": draw(st.sampled_from(["auto", "/run/a.sock", "~/a $$ b.sock"])),
        "tcp": {"port": draw(st.integers(0, 65535))},
        "providers": providers,
        "groups": {"the.group": group},
        "models": {"alias": {"group": "the.group"}},
        "limits": draw(section(kind("limits"))),
        "timeouts": draw(section(kind("timeouts"))),
        "circuit_breaker": draw(breaker),
        "retry": draw(retry),
        "logging": draw(section(kind("logging"))),
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configuration") / "config.yaml"


def read(file: Path, text: str, environ: dict[str, str] | None = None) -> Examination:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    return examine(file, environ=environ or {})


def dumped(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=10_000)


@given(documents())
def test_a_configuration_survives_being_written_and_read_again(
    file: Path, document: dict[str, Any]
) -> None:
    """What the file says arrives, and what is shown of it means the same."""
    first = read(file, dumped(document))
    assert first.config is not None, "\n".join(map(str, first.problems))
    assert first.config.tcp.port == document["tcp"]["port"]
    assert list(first.config.providers) == list(document["providers"])
    for name, provider in document["providers"].items():
        arrived = [escape(model) for model in first.config.providers[name].models]
        assert arrived == provider["models"]
    second = read(file, dumped(redacted(first.config)))
    assert second.config == first.config, "\n".join(map(str, second.problems))


@given(documents(), st.data())
def test_a_misspelt_key_is_reported_on_its_own_line(
    file: Path, document: dict[str, Any], data: st.DataObject
) -> None:
    """Whichever key it is, and wherever it stands."""
    lines = dumped(document).splitlines()
    keys = [
        (number, found)
        for number, line in enumerate(lines)
        if (found := KEY_LINE.match(line)) and found["key"] in {*fields(Config), *EVERY_KEY}
    ]
    number, found = data.draw(st.sampled_from(keys))
    line = lines[number]
    lines[number] = f"{found['before']}zz_{line[len(found['before']) :]}"
    problems = read(file, "\n".join(lines)).problems
    places = {(problem.line, problem.column) for problem in problems}
    assert (number + 1, len(found["before"]) + 1) in places


@given(documents(), st.data())
def test_a_bad_value_is_reported_on_its_own_line(
    file: Path, document: dict[str, Any], data: st.DataObject
) -> None:
    """A list where a number, a word or a truth is expected is pointed at, and nothing else is."""
    lines = dumped(document).splitlines()
    plain = {"port", "queue_limit", "max_attempts", "strategy", "kind"}
    keys = [
        (number, found)
        for number, line in enumerate(lines)
        if (found := KEY_LINE.match(line)) and found["key"] in plain
    ]
    number, found = data.draw(st.sampled_from(keys))
    lines[number] = f"{found[0]} [1, 2]"
    (problem,) = read(file, "\n".join(lines)).problems
    assert (problem.line, problem.column) == (number + 1, len(found[0]) + 2)


@given(documents(), st.sampled_from(["@x", "`x", '"x', "[x", "{x", "%x"]), st.data())
def test_a_line_that_is_no_yaml_is_named_and_hides_nothing_else(
    file: Path, document: dict[str, Any], broken: str, data: st.DataObject
) -> None:
    """Its own line is reported, and so is a misspelt key before or behind it."""
    lines = dumped(document).splitlines()
    plain = {"port", "queue_limit", "max_attempts", "strategy"}
    keys = [
        (number, found)
        for number, line in enumerate(lines)
        if (found := KEY_LINE.match(line)) and found["key"] in plain
    ]
    number, found = data.draw(st.sampled_from(keys))
    lines[number] = f"{found[0]} {broken}"
    at = data.draw(st.sampled_from([0, len(lines)]))
    lines.insert(at, "zzz: 1")
    places = {(problem.line, problem.column) for problem in read(file, "\n".join(lines)).problems}
    assert (number + 1 + (at == 0), len(found[0]) + 2) in places
    assert (at + 1, 1) in places


@given(st.text(alphabet="socket:tcp[]{}-&*<!|>'\"#%@`~?, \n\t${}\x00é\ud800"))
def test_any_text_gives_a_configuration_or_problems_inside_it(file: Path, text: str) -> None:
    """Nothing but ConfigurationError's problems comes of the strangest file."""
    found = read(file, text)
    assert (found.config is None) == bool(found.problems)
    for problem in found.problems:
        assert 1 <= problem.line <= text.count("\n") + 2
        assert problem.column >= 1


@given(st.from_regex(r"[A-Za-z0-9!$%&/()=?+*#'\"-]{12,40}", fullmatch=True), st.data())
def test_what_a_variable_holds_is_in_no_problem(
    file: Path, secret: str, data: st.DataObject
) -> None:
    """Put into any place of a file, its value is not repeated."""
    lines = dumped(SAMPLE).splitlines()
    number = data.draw(st.sampled_from([n for n, line in enumerate(lines) if ": " in line]))
    lines[number] = lines[number].partition(": ")[0] + ': "${K}"'
    for problem in read(file, "\n".join(lines), {"K": secret}).problems:
        assert secret not in str(problem)


@given(st.floats(1e-6, 1e9, allow_nan=False) | st.just(0.0))
def test_a_duration_is_written_as_it_is_read(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**12 - 1))
def test_a_size_is_written_as_it_is_read(count: int) -> None:
    assert parse_size(format_size(count)) == count


@given(st.text(), st.dictionaries(names, st.text()))
def test_an_escaped_text_comes_back(text: str, environ: dict[str, str]) -> None:
    assert expand(escape(text), environ) == (text, ())


@given(st.text(st.characters(exclude_characters="${}")), st.text())
def test_a_variable_is_replaced_once(around: str, value: str) -> None:
    expanded, names_used = expand(f"{around}${{V}}{around}", {"V": value})
    assert expanded == f"{around}{value}{around}"
    assert names_used == ("V",)


EVERY_KEY = {
    name
    for top in ("limits", "timeouts", "circuit_breaker", "retry", "logging", "tcp")
    for name in fields(kind(top))
} | {"queue_limit", "models", "wire", "kind", "strategy", "members", "provider", "model", "group"}

SAMPLE = {
    "socket": "auto",
    "tcp": {"enabled": False, "host": "127.0.0.1", "port": 1, "token": "t"},
    "providers": {
        "a": {
            "kind": "openai",
            "api_key": "k",
            "base_url": "https://a.example/v1",
            "headers": {"x": "y"},
            "timeouts": {"connect": "1s"},
        },
        "b": {"kind": "openai", "api_key_credential": "c"},
    },
    "groups": {"g": {"strategy": "priority", "members": [{"provider": "a", "model": "m"}]}},
    "models": {"x": {"group": "g"}, "y": {"provider": "a", "model": "m"}},
    "limits": {"max_body": "1MiB"},
    "retry": {"base_delay_ms": 1, "jitter": True},
    "logging": {"level": "info"},
}
