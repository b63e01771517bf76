"""Providers and groups that come while Standby runs; health, counts and costs in a program."""

import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import trio
from trio.testing import MockClock

from providers.http import Poller
from providers.wire import Usage
from runtime.application import open_daemon
from runtime.configuration import Config, ConfigurationError, load_document
from runtime.in_process import ChatError, RequestError, Standby, open_standby
from runtime.launch import Running
from runtime.telemetry import ProviderMetrics
from runtime.tree import Shared
from tests.providers import scripted
from tests.runtime.in_process.rig import Heard, rig, streams

QUICK = {"latency": "0ms", "tokens_per_second": 0, "answer_words": 6}


def simulated(*models: str, wire: str = "openai", **more: Any) -> Mapping[str, object]:
    return {"kind": "simulated", "wire": wire, "models": models, "simulator": QUICK, **more}


@pytest.fixture
async def standby() -> AsyncIterator[Standby]:
    config = {
        "providers": {
            "first": simulated("m-1"),
            "claude": simulated("c-1", wire="anthropic"),
            "keyless": {"kind": "openai", "models": ["gpt-6-sol"]},
        },
        "groups": {"g": {"members": [{"provider": "first", "model": "m-1"}]}},
    }
    async with open_standby(config) as opened:
        yield opened


async def test_it_opens_with_a_file_a_mapping_or_a_checked_configuration(tmp_path: Path) -> None:
    document = {"providers": {"a": simulated("m")}}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(document))
    for config in (file, str(file), document, load_document(document)):
        async with open_standby(config) as opened:
            assert isinstance(opened.config, Config)
            assert (await opened.chat("hi")).provider == "a"


async def test_a_wrong_configuration_is_refused_with_every_mistake() -> None:
    with pytest.raises(ConfigurationError) as refused:
        async with open_standby({"providers": {"a": {"kind": "simulatd"}}, "modles": {}}):
            pass
    assert len(refused.value.problems) == 2


async def test_nothing_is_left_when_the_block_ends(standby: Standby) -> None:
    config = load_document({"providers": {"a": simulated("m")}})
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_standby(config) as opened:
        await opened.chat("hi")
    assert trio.lowlevel.current_statistics().tasks_living == before


class TestRegisteringProviders:
    async def test_a_new_provider_has_its_tasks_and_is_found_by_its_models(
        self, standby: Standby
    ) -> None:
        with pytest.raises(RequestError, match="unknown model 'm-2'"):
            await standby.chat("hi", model="m-2")
        info = await standby.providers.register_provider("second", simulated("m-2"))
        assert (info.name, info.models, info.missing) == ("second", ("m-2",), "")
        for model in ("m-2", "second/m-2"):
            assert (await standby.chat("hi", model=model)).provider == "second"
        tree = standby.system.snapshot()
        for supervisor, name in (
            ("providers", "provider:second"),
            ("breakers", "breaker:second"),
            ("simulators", "simulator:second"),
        ):
            node = tree.find(supervisor)
            assert node is not None
            assert name in [child.name for child in node.children]
        assert standby.adapter.get_provider_health("second")["healthy"]
        assert "second" in [each.name for each in standby.providers.list_providers()]

    async def test_it_comes_back_when_its_task_or_its_supervisor_is_killed(
        self, standby: Standby, autojump_clock: MockClock
    ) -> None:
        far = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"}
        await standby.providers.register_provider("far", far)  # it has no simulator
        await standby.providers.register_provider("second", simulated("m-2"))
        await standby.providers.register_provider("third", simulated("c-2", wire="anthropic"))
        for victim in ("simulators", "provider:second", "providers", "breakers", "additions"):
            assert standby.system.kill(victim), victim
            await trio.sleep(5)
            for name, model in (("second", "m-2"), ("third", "c-2")):
                assert (await standby.chat("hi", model=model)).provider == name, victim

    async def test_it_stands_in_for_others_that_were_asked_before(self, standby: Standby) -> None:
        assert (await standby.chat("hi", model="m-1")).provider == "first"
        await standby.providers.register_provider("second", simulated("m-1"))
        standby.system.kill("provider:first")
        assert (await standby.chat("hi", model="m-1")).provider == "second"

    async def test_its_settings_are_read_as_in_a_file(
        self, standby: Standby, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOME_KEY", "sk-1234567890")
        settings = {
            "kind": "openai",
            "base_url": "http://127.0.0.1:9/v1",
            "api_key": "${SOME_KEY}",
            "timeouts": {"connect": "100ms"},
        }
        info = await standby.providers.register_provider("keyed", settings)
        assert info.has_key
        assert "sk-1234567890" not in repr(info)
        with pytest.raises(ChatError) as failed:
            await standby.chat("hi", provider="keyed", model="x")
        assert failed.value.event.kind == "connect"

    async def test_mistakes_are_named_and_nothing_is_added(self, standby: Standby) -> None:
        with pytest.raises(ConfigurationError, match="Did you mean"):
            await standby.providers.register_provider("bad", {"kind": "simulatd"})
        with pytest.raises(ValueError, match="already"):
            await standby.providers.register_provider("first", simulated("m-1"))
        with pytest.raises(ValueError, match="cannot name a provider"):
            await standby.providers.register_provider("a/b", simulated("m-1"))
        assert [each.name for each in standby.providers.list_providers()] == [
            "first",
            "claude",
            "keyless",
        ]

    async def test_of_two_that_want_one_name_at_the_same_time_one_gets_it(
        self, standby: Standby
    ) -> None:
        refused = []

        async def register() -> None:
            try:
                await standby.providers.register_provider("second", simulated("m-2"))
            except ValueError as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(register)
        assert len(refused) == 2
        assert (await standby.chat("hi", model="m-2")).provider == "second"

    async def test_one_without_its_key_is_listed_as_lacking_it(
        self, standby: Standby, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lacking = {each.name: each.missing for each in standby.providers.list_providers()}
        assert lacking["first"] == ""
        assert "OPENAI_API_KEY" in lacking["keyless"]
        with pytest.raises(RequestError, match="no API key") as refused:
            await standby.chat("hi", model="keyless/gpt-6-sol")
        assert refused.value.status == 503


class TestGroups:
    async def test_a_new_group_fails_over_and_counts(self, tmp_path: Path) -> None:
        bad = scripted.says(scripted.failing(500))
        async with rig(tmp_path, {"a": [bad], "b": [streams("openai", "yes")]}) as made:
            factory = made.standby.providers
            group = await factory.create_failover_group("new", ["a", ("b", "m-9")])
            assert [(m.provider, m.model) for m in group.members] == [("a", "m-1"), ("b", "m-9")]
            heard = Heard()
            await factory.chat_with_failover("new", "hi", heard)
            assert heard.text == "yes"
            assert b'"model":"m-9"' in made.upstreams["b"].calls[0].body
            manager = made.standby.system.snapshot().find("failover")
            assert manager is not None
            assert manager.extra["groups"] == {"g": "priority", "new": "priority"}

    async def test_a_group_of_the_same_name_takes_its_place(self, standby: Standby) -> None:
        assert (await standby.chat("hi", model="g")).provider == "first"
        await standby.providers.create_failover_group("g", ["claude"])
        assert (await standby.chat("hi", model="g")).provider == "claude"

    async def test_no_request_is_lost_while_its_members_are_changed(self, standby: Standby) -> None:
        done = False

        async def asks() -> None:
            while not done:
                await standby.chat("hi", model="g")

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(asks)
            for members in [["claude"], ["first"]] * 20:
                await standby.providers.create_failover_group("g", members)
                await trio.lowlevel.checkpoint()
            done = True

    async def test_turns_go_round(self, standby: Standby) -> None:
        await standby.providers.register_provider("second", simulated("m-2"))
        await standby.providers.create_failover_group(
            "turns", ["first", "second"], strategy="round_robin"
        )
        asked = [(await standby.chat("hi", model="turns")).provider for _ in range(4)]
        assert asked in (["first", "second"] * 2, ["second", "first"] * 2)

    async def test_it_waits_for_a_manager_that_is_being_restarted(
        self, standby: Standby, autojump_clock: MockClock
    ) -> None:
        standby.system.kill("failover")
        await standby.providers.create_failover_group("new", ["first"])
        assert (await standby.chat("hi", model="new")).provider == "first"

    @pytest.mark.parametrize(
        ("members", "more", "said"),
        [
            (["nobody"], {}, "no provider 'nobody'; there are first"),
            ([], {}, "no members"),
            (["first", "first"], {}, "twice"),
            (["first"], {"strategy": "luck"}, "strategy"),
            (["open"], {}, "lists no model by name"),
        ],
    )
    async def test_what_makes_no_sense_is_refused(
        self, standby: Standby, members: list[str], more: dict[str, Any], said: str
    ) -> None:
        await standby.providers.register_provider("open", simulated("x-*"))
        with pytest.raises(ValueError, match=said):
            await standby.providers.create_failover_group("new", members, **more)
        with pytest.raises(RequestError, match="there is no group 'new'"):
            await standby.providers.chat_with_failover("new", "hi", Heard())


class TestHealthAndCounts:
    async def test_they_are_what_the_daemon_says(
        self, tmp_path: Path, autojump_clock: MockClock
    ) -> None:
        """One tree, asked by its door and in process."""
        config = load_document(
            {"providers": {"a": simulated("m-1"), "keyless": {"kind": "openai"}}}
        )
        socket = tmp_path / "standby.sock"
        poller = Poller()  # of no use here: nothing is added
        poller.close()
        async with open_daemon(config, socket, stop=lambda: None) as daemon:
            standby = Standby(Running(daemon.services, Shared(poller), {}))
            await standby.chat("hi", model="m-1")
            await trio.sleep(1)  # counts are published now and then
            transport = httpx2.AsyncHTTPTransport(uds=str(socket))
            async with httpx2.AsyncClient(transport=transport, base_url="http://local") as client:
                summary = (await client.get("/health")).json()
                detailed = (await client.get("/health/providers")).json()
                metrics = (await client.get("/health/metrics")).json()
            assert standby.providers.health_check() == summary
            assert standby.adapter.get_provider_health() == detailed
            assert standby.adapter.get_provider_health("a") == detailed["a"]
            assert msgspec.to_builtins(standby.providers.get_metrics()) == metrics
            assert standby.adapter.get_provider_metrics() == standby.providers.get_metrics()
            counted = standby.adapter.get_provider_metrics("a")
            assert msgspec.to_builtins(counted) == metrics["providers"]["a"]
            assert metrics["total_requests"] == metrics["providers"]["a"]["succeeded"] == 1

    async def test_a_breaker_that_opens_shows(
        self, tmp_path: Path, autojump_clock: MockClock
    ) -> None:
        async with rig(tmp_path, {"a": [scripted.says(scripted.failing(500))]}) as made:
            for _ in range(5):
                with pytest.raises(ChatError):
                    await made.standby.chat("hi")
            assert made.standby.adapter.get_provider_health("a")["circuit_state"] == "open"
            assert made.standby.providers.health_check()["status"] == "unhealthy"

    async def test_an_unknown_provider_is_named(self, standby: Standby) -> None:
        with pytest.raises(LookupError, match="no provider 'x'"):
            standby.adapter.get_provider_health("x")
        with pytest.raises(LookupError, match="no provider 'x'"):
            standby.adapter.get_provider_metrics("x")
        counted = standby.adapter.get_provider_metrics("keyless")
        assert isinstance(counted, ProviderMetrics)
        assert counted.requests == 0


class TestCosts:
    async def test_a_requests_costs_are_compared_cheapest_first_and_unknown_last(
        self, standby: Standby
    ) -> None:
        factory = standby.providers
        here = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1"}
        await factory.register_provider("unpriced", {**here, "models": ["m-1"]})
        for name, price in (("dear", 20), ("fair", 2)):
            prices = {"m-*": {"input": price, "output": price}}
            await factory.register_provider(name, {**here, "models": ["m-1"], "prices": prices})
        await factory.register_provider(
            "real", {"kind": "openai", "api_key": "sk-none", "models": ["gpt-5"]}
        )
        request = {"messages": [{"role": "user", "content": "x" * 396}], "max_tokens": 900}
        found = await factory.estimate_costs(
            request, providers=["unpriced", "dear", "real", "fair", "first"]
        )
        assert [each.provider for each in found] == ["first", "fair", "real", "dear", "unpriced"]
        totals = [each.cost.total for each in found]
        assert totals == [0, Decimal("0.002"), Decimal("0.009125"), Decimal("0.02"), None]
        assert all(each.cost.estimated and each.cost.usage == Usage(100, 900) for each in found)
        sources = [each.cost.source for each in found]
        assert sources == ["simulator", "configuration", "table", "configuration", "unknown"]

    async def test_without_names_those_are_compared_who_may_answer(self, standby: Standby) -> None:
        await standby.providers.register_provider("second", simulated("m-1", "m-2"))
        await standby.providers.create_failover_group("both", ["claude", ("second", "m-2")])

        async def compared(**request: Any) -> list[tuple[str, str]]:
            asked = {"messages": [{"role": "user", "content": "hi"}], **request}
            found = await standby.providers.estimate_costs(asked)
            return [(each.provider, each.model) for each in found]

        assert await compared(model="m-1") == [("first", "m-1"), ("second", "m-1")]
        assert await compared(model="both") == [("claude", "c-1"), ("second", "m-2")]
        assert await compared() == [("first", "m-1")]
        with pytest.raises(RequestError, match="unknown model"):
            await compared(model="nope")

    async def test_used_tokens_are_priced_as_counted(self, standby: Standby) -> None:
        reply = await standby.chat("hi", model="m-1")
        assert reply.usage is not None
        cost = await standby.providers.estimate_cost(reply.usage, provider="first", model="m-1")
        assert (cost.total, cost.estimated, cost.usage) == (Decimal(0), False, reply.usage)
        with pytest.raises(LookupError, match="no configured provider"):
            await standby.providers.estimate_cost(reply.usage, provider="keyless")

    async def test_the_table_is_loaded_once_and_says_its_date(self, standby: Standby) -> None:
        table = await standby.providers.price_table()
        assert table is await standby.providers.price_table()
        assert table.as_of is not None
