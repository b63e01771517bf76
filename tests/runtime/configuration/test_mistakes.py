"""Every mistake is reported at its place, with what was expected and what was likely meant."""

import os
from pathlib import Path

import pytest

from runtime.configuration import ConfigurationError, load
from tests.runtime.configuration.marked import examined, mistakes

PROVIDERS = "providers: {a: {kind: simulated, models: [m]}, b: {kind: openai}}\n"
FAULTS = "providers: {a: {kind: simulated, simulator: {faults: ["
OWN_DOOR = "tcp: {enabled: true, token: t}\n"


@pytest.mark.parametrize(
    ("marked", "said"),
    [
        ("⟦sokcet: auto", ['unknown key "sokcet"', 'Did you mean "socket"?']),
        ("tcp: {⟦prt: 1}", ['unknown key "prt" in tcp', "enabled, host, port, token"]),
        ("tcp: ⟦[]", ["expected a mapping with the keys enabled", "found a list"]),
        ("⟦- a", ["expected a mapping with the keys socket", "found a list"]),
        ("tcp:\n  port: ⟦high", ["a whole number from 0 to 65535", 'found "high"']),
        ("tcp: {port: ⟦99999}", ["from 0 to 65535"]),
        ("tcp: {port: ⟦'80'}", ["found text; leave the quotes out"]),
        ("tcp: {port: ⟦80.5}", ["a whole number"]),
        ("tcp: {port: ⟦[80]}", ["a whole number", "found a list"]),
        ("tcp: {enabled: ⟦yes}", ["expected true or false", 'found "yes"', "write true"]),
        ("tcp: {enabled: ⟦Off}", ["write false"]),
        ("tcp: {enabled: ⟦'true'}", ["expected true or false"]),
        ("tcp: {enabled: ⟦1}", ["expected true or false"]),
        ("tcp: {host: ⟦0.0.0.0}", ["loopback"]),
        ("tcp: {host: ⟦10}", ["expected text, found 10", 'write "10"']),
        ("tcp: {enabled: ⟦true}", ["needs a token"]),
        ("tcp: {token: ⟦a b}", ["the token has spaces"]),
        ("socket: ⟦standby.sock", ["auto or an absolute path"]),
        (f"socket: ⟦/{'x' * 120}", ["121 bytes", "at most 107"]),
        ("timeouts: {request: ⟦600}", ["a duration with its unit", 'is it "600s" or "600ms"?']),
        ("timeouts: {request: ⟦10 minutes}", ['"500ms", "30s", "5m" or "2h"']),
        ("timeouts: {request: ⟦0s}", ["a duration above 0s, at most 24h"]),
        ("limits: {max_body: ⟦1024}", ["a size with its unit", 'for bytes write "1024B"']),
        ("limits: {max_body: ⟦2GiB}", ["a size from 1KiB to 1GiB"]),
        ("retry: {base_delay_ms: ⟦1s}", ["whole milliseconds from 0 to 600000", "write 1000"]),
        ("retry: {base_delay_ms: ⟦0.5}", ["whole milliseconds"]),
        ("retry: {base_delay_ms: ⟦9000}", ["base_delay_ms (9000) is above max_delay_ms (5000)"]),
        ("retry: {max_delay_ms: ⟦1}", ["base_delay_ms (200) is above max_delay_ms (1)"]),
        ("circuit_breaker: {recovery_timeout: ⟦1h}", ["above max_recovery_timeout (5m)"]),
        ("circuit_breaker: {account_recheck: ⟦20m}", ["above max_account_recheck (15m)"]),
        ("circuit_breaker: {failure_rate: ⟦1.5}", ["a number above 0, at most 1"]),
        ("circuit_breaker: {failure_rate: ⟦.nan}", ["a number"]),
        ("logging: {level: ⟦wraning}", ["not one of debug", 'Did you mean "warning"?']),
        ("providers: {a: {⟦knd: openai}}".replace("{⟦knd", "⟦{knd"), ["needs the key kind"]),
        ("providers: {a: {kind: ⟦opnai}}", ["openai, anthropic, simulated", '"openai"?']),
        ("providers: {⟦a: }", ["providers.a needs the key kind"]),
        ("providers: ⟦[a]", ["expected a mapping of names, found a list"]),
        ("providers: {⟦a/b: {kind: openai}}", ['"a/b" cannot be a name', "64 letters"]),
        ("providers: {⟦'': {kind: openai}}", ["cannot be a name"]),
        ("providers: {⟦v1: {kind: openai}}", ['"v1" cannot be the name', "served below /v1/"]),
        ("providers: {⟦health: {kind: simulated, enabled: false}}", ["choose another name"]),
        ("providers: {a: {kind: openai, pass_through: ⟦no}}", ["expected true or false"]),
        ("providers: {a: {kind: openai, ⟦wire: openai}}", ["only for kind simulated"]),
        ("providers: {a: {kind: openai, ⟦version: x}}", ["only for kind anthropic"]),
        ("providers: {a: {kind: openai, base_url: ⟦ftp://x}}", ["http:// or https://"]),
        ("providers: {a: {kind: openai, base_url: ⟦http:///v1}}", ["the host is missing"]),
        ("providers: {a: {kind: openai, base_url: '⟦http://x:y/'}}".replace("'⟦", "⟦'"), ["https"]),
        ("providers: {a: {kind: openai, base_url: ⟦http://u:p@x}}", ["do not belong here"]),
        ("providers: {a: {kind: openai, base_url: ⟦http://x?y=1}}", ["no ? and no #"]),
        ("providers: {a: {kind: openai, models: [x, y, ⟦x]}}", ['"x" stands in this list twice']),
        ("providers: {a: {kind: openai, models: [⟦' x']}}", ["name of a model"]),
        ("providers: {a: {kind: openai, models: ⟦x}}", ["a list, such as [a, b]", 'found "x"']),
        ("providers: {a: {kind: openai, models: [x, ⟦~]}}", ["this entry is empty"]),
        ("providers:\n a: {kind: openai, proxy: ⟦}", ["found nothing; write none for no proxy"]),
        ("providers: {a: {kind: openai, proxy: ⟦~}}", ["auto for the one of the environment"]),
        ("providers: {a: {kind: openai, proxy: ⟦''}}", ["found nothing; write none"]),
        ("providers: {a: {kind: openai, proxy: ⟦' '}}", ["found nothing; write none"]),
        ("providers: {a: {kind: openai, headers: {⟦a b: c}}}", ["the name of a header"]),
        ("providers: {a: {kind: openai, headers: {⟦Host: c}}}", ["set by the daemon itself"]),
        ('providers: {a: {kind: openai, headers: {x: ⟦"a\\nb"}}}', ["no header can carry"]),
        ("providers: {a: {kind: openai, max_connections: ⟦0}}", ["from 1 to 10000"]),
        (
            "providers: {a: {kind: openai, retry: {max_delay_ms: ⟦1}}}",
            ["base_delay_ms (200) is above"],
        ),
        (
            OWN_DOOR + "providers: {a: {kind: openai, base_url: ⟦'http://localhost:4003/v1'}}",
            ["this daemon's own TCP door"],
        ),
        (
            PROVIDERS + "groups: {g: {strategy: ⟦prioritty, members: [{provider: a}]}}",
            ["not one of priority, round_robin", 'Did you mean "priority"?'],
        ),
        (
            PROVIDERS + "groups: {g: {strategy: ⟦weighted, members: [{provider: a}]}}",
            ["not one of priority, round_robin"],
        ),
        (PROVIDERS + "groups: {g: {members: ⟦[]}}", ["expected at least one entry"]),
        (PROVIDERS + "groups: {g: ⟦{}}", ["groups.g needs the key members"]),
        (
            PROVIDERS + "groups: {g: {members: [{provider: a}], ⟦on_broken_streams: error}}",
            ['unknown key "on_broken_streams" in groups.g'],
        ),
        (
            PROVIDERS + "groups: {g: {members: [{provider: ⟦aa}]}}",
            ['there is no provider "aa"', "expected one of a, b", 'Did you mean "a"?'],
        ),
        (PROVIDERS + "groups: {g: {members: [⟦{model: m}]}}", ["[1] needs the key provider"]),
        (
            PROVIDERS + "groups: {g: {members: [{provider: a}], hedge: {maximum_delay: ⟦10ms}}}",
            ["minimum_delay (100ms) is above maximum_delay (10ms)"],
        ),
        (
            PROVIDERS + "groups: {g: {members: [{provider: a}], hedge: {percentile: ⟦95}}}",
            ["from 0.5 to 0.999"],
        ),
        (PROVIDERS + "groups: {g: {members: [⟦{provider: b}]}}", ["needs the key model"]),
        (
            PROVIDERS + "groups: {g: {members: [{provider: a}, ⟦{provider: a, model: m}]}}",
            ["stands in the group twice"],
        ),
        ("models: {m: {group: ⟦g}}", ['there is no group "g"', "no group at all"]),
        ("models: {⟦m: {}}", ["m stands for nothing"]),
        (PROVIDERS + "models: {⟦m: {provider: a}}", ["m needs the key model as well"]),
        (PROVIDERS + "models: {m: {provider: ⟦c, model: x}}", ['there is no provider "c"']),
        (PROVIDERS + "models: {⟦a/x: {provider: a, model: m}}", ['the model "x" of provider "a"']),
        (
            PROVIDERS + "groups: {g: {members: [{provider: a}]}}\nmodels: {⟦g: {group: g}}",
            ["the name of a group already"],
        ),
        (
            PROVIDERS + "groups: {g: {members: [{provider: a}]}}\n"
            "models: {⟦x: {group: g, provider: a}}",
            ["not for both"],
        ),
        ("providers: {a: {kind: simulated, models: [⟦x!y]}}", ['cannot have a "!"']),
        (
            "providers: {a: {kind: simulated, simulator: {faults: [{fault: ⟦status_505}]}}}",
            ["status_505", "status_50"],
        ),
        (
            FAULTS + "{fault: hang, from: 1m, until: ⟦30s}]}}}",
            ["until (30s) is not later than from (1m)"],
        ),
        (FAULTS + "{fault: hang, ⟦probabilty: 1}]}}}", ['Did you mean "probability"?']),
        ('⟦"so\\ncket\\e[1m": auto', ['unknown key "so\\ncket\\x1b[1m"', '"socket"?']),
        (f"? ⟦{'k' * 2000}\n: auto", [f'"{"k" * 57}..."']),
        # What YAML itself does not mind, or minds.
        ("socket: auto\n⟦socket: auto", ["a second time", "line 1, column 1"]),
        ("tcp: {port: 1, ⟦port: 2}", ["a second time", "line 1, column 7"]),
        (
            "tcp: {host: ⟦!!python/name:os.system 127.0.0.1}",
            ["!!python/name:os.system is not allowed"],
        ),
        ("tcp: ⟦!thing {}", ["the tag !thing is not allowed"]),
        ("tcp: &t {host: ⟦*t}", ["stands inside the value that it names"]),
        ("tcp: ⟦*t", ["*t names nothing"]),
        ("tcp: {⟦<<: 5}", ["<< takes in another mapping"]),
        ("tcp: {⟦[a]: 5}", ["expected a plain word as the key"]),
        ("socket: auto\n⟦---\nsocket: auto", ["a second YAML document"]),
        ("tcp: ⟦{host: a\nsocket: auto", ["this { is not closed", "before line 2, column 7"]),
        ("tcp: ⟦[a\nsocket: auto", ["this [ is not closed; expected , or ] before line 2"]),
        ('tcp:\n  host: ⟦"a\n  port: 1', ['begins here with " has no closing quote']),
        ("tcp:\n  host: ⟦@a", ["text that begins with @ needs quotes"]),
        ("tcp:\n  host: a⟦: b", ['a text with ": " in it needs quotes']),
        ("tcp:\n  port: 1\n   host⟦: a", ["is it indented too far"]),
        ("socket: auto\n⟦tcp\nlogging: {}", ['found no colon after "tcp"']),
        ("tcp: {}\n ⟦socket: auto", ["is it indented as far as the keys beside it?"]),
        # What YAML's versions read differently.
        ("limits: {max_headers: ⟦010}", ["a whole number from 8 to", "write 10"]),
        ("limits: {max_headers: ⟦1_000}", ["a whole number from 8 to", "write 1000"]),
        ("limits: {max_headers: ⟦0b11}", ["a whole number"]),
        ("limits: {max_headers: ⟦1:30}", ["a whole number"]),
        ("retry: {backoff_factor: ⟦.inf}", ["a number from 1 to 100"]),
        ("timeouts: {request: ⟦1:30}", ["a duration with its unit"]),
        ("timeouts: {request: ⟦2001-01-01}", ["a duration with its unit"]),
        ("logging: {level: ⟦off}", ["not one of debug"]),
        ("tcp:\n⟦\thost: a", ["not valid YAML", "cannot start any token"]),
        ("socket: ⟦\x01", ["U+0001 is not allowed in YAML"]),
        # Variables.
        ("socket: ⟦${NOPE}", ["NOPE is not set", "${NOPE:-}"]),
        ("socket: ⟦${NOPE:?say where}", ["NOPE is needed: say where"]),
        ("socket: ⟦${NOPE:?}", ["NOPE is needed"]),
        ('socket: ⟦"${NOPE"', ["no closing brace"]),
        ("socket: ⟦${1}", ["${1} is no variable", "${NAME:-default}"]),
        ("socket: ⟦${A-b}", ["${A-b} is no variable"]),
        ('socket: ⟦"${A:-${B}}"', ["a variable inside another"]),
    ],
)
def test_a_mistake_is_reported_at_its_place(tmp_path: Path, marked: str, said: list[str]) -> None:
    """One mistake gives one problem, at its line and column, in plain words."""
    (message,) = mistakes(tmp_path, marked)
    for part in said:
        assert part in message


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    """One run names everything that is wrong, also around what could not be read."""
    messages = mistakes(
        tmp_path,
        """\
        ⟦sokcet: auto
        tcp: {enabled: ⟦yes, port: ⟦-1}
        providers:
          a: {kind: ⟦opnai}
          b: {kind: openai, queue_limit: ⟦many, models: [x, ⟦x]}
        groups:
          g:
            strategy: ⟦random
            members:
              - {provider: ⟦c, model: x}
              - {provider: a, model: ⟦5}
              - {provider: b, ⟦modle: x, model: x}
        models:
          m: {group: ⟦h}
        """,
    )
    assert len(messages) == 11


def test_what_could_not_be_read_is_not_missing_as_well(tmp_path: Path) -> None:
    """A provider or group with a mistake of its own still counts as there."""
    mistakes(
        tmp_path,
        """\
        providers:
          a: {kind: ⟦opnai}
        groups:
          g: {members: [{provider: a, model: m}], max_attempts: ⟦0}
          h: {members: ⟦[]}
        models:
          x: {group: g}
          y: {group: h}
        """,
    )


def test_a_mistake_in_a_list_does_not_shift_the_places_behind_it(tmp_path: Path) -> None:
    """The third member is reported as the third, though the second could not be read."""
    mistakes(
        tmp_path,
        """\
        providers: {a: {kind: simulated, models: [m]}}
        groups:
          g:
            members:
              - {provider: a}
              - ⟦{model: m}
              - {provider: ⟦z}
        """,
    )


def test_a_problem_reads_as_file_line_column(tmp_path: Path) -> None:
    """Editors and terminals can jump to it."""
    file = tmp_path / "my.yaml"
    file.write_text("socket: auto\ntcp: {port: x}\n")
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ={})
    assert str(caught.value).startswith(f"{file}:2:13: expected a whole number")


def test_text_that_is_no_yaml_does_not_hide_the_other_mistakes(tmp_path: Path) -> None:
    """Each broken part is named, and every mistake in what can still be read."""
    messages = mistakes(
        tmp_path,
        """\
        tcp: ⟦{enabled: true
        ⟦sokcet: auto
        providers:
          a:
            kind: openai
            api_key: ⟦@secret
            queue_limit: ⟦many
          b: {kind: ⟦opnai}
        limits:
          max_line: ⟦"16KiB
          max_headers: ⟦0x
        groups:
          g: ⟦[unclosed
        logging: {level: ⟦loud}
        """,
    )
    assert len([message for message in messages if message.startswith("not valid YAML")]) == 4


def test_what_may_stand_in_an_unreadable_part_is_not_called_missing(tmp_path: Path) -> None:
    """Neither a key that is needed, nor an anchor, nor a provider that a group names."""
    mistakes(
        tmp_path,
        """\
        providers:
          a:
            kind: ⟦`openai
          b: ⟦{kind: openai, headers: &shared {x: y}
          c: {kind: openai, headers: *shared, base_url: "http://c"}
        groups:
          g:
            members: ⟦@a
          h: {members: [{provider: b, model: x}]}
        """,
    )


def test_a_file_of_nothing_but_mistakes_is_given_up_after_some(tmp_path: Path) -> None:
    found = examined(tmp_path, "\n".join(f"a{n}: @" for n in range(100_000)))
    assert 1 < len(found.problems) <= 20


def test_a_place_inside_an_alias_is_where_the_text_stands(tmp_path: Path) -> None:
    """A mistake that an alias brings in is shown where it can be mended."""
    mistakes(
        tmp_path,
        """\
        providers:
          a: &shared {kind: openai, queue_limit: ⟦-1}
        """,
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"socket: \xff\n", "1:9: this byte is not UTF-8"),
        (b"\xef\xbb\xbfsocket: 5\n", "1:9: expected text"),
        (b"a: " + b"[" * 100, "nested more than 32 levels deep"),
        (b"a: " + b"{a: " * 100_000, "nested more than 32 levels deep"),
        (b"x" * (1024 * 1024 + 1), "is larger than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    """Bytes that are no text, nesting without end and huge files do no harm."""
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ={})
    assert said in str(caught.value)


def test_aliases_cannot_blow_up(tmp_path: Path) -> None:
    """A few lines that would expand to billions of values are refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    found = examined(tmp_path, "\n".join(lines))
    assert "more than 50000 values, aliases counted in full" in found.problems[-1].message


@pytest.mark.parametrize("what", ["missing", "folder", "pipe"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, what: str) -> None:
    """No such file, a folder and a pipe are refused without waiting."""
    file = tmp_path / "config.yaml"
    if what == "folder":
        file.mkdir()
    elif what == "pipe":
        os.mkfifo(file)
    with pytest.raises(ConfigurationError) as caught:
        load(file, environ={})
    said = {"missing": "no such file", "folder": "is a directory", "pipe": "not a regular file"}
    assert said[what] in str(caught.value)
    assert str(file) in str(caught.value)
