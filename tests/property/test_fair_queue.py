"""The queue of waiting askers: turns, shares, who leaves it when it is full, what stays."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from providers.fair_queue import UNNAMED, ClientKey, FairQueue

SOURCES = st.sampled_from("abcd")
NAMES = st.sampled_from(["", "x", "y"])
CLIENTS = st.builds(ClientKey, SOURCES, NAMES)


class FairQueueMachine(RuleBasedStateMachine):
    """The queue beside a model that knows all items in the order they came, and counts waits."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[int] = FairQueue()
        self.waiting: list[tuple[int, ClientKey]] = []
        self.passed_over: dict[str, Counter[str]] = {}
        self.next = 0

    def leave(self, item: int) -> ClientKey:
        [client] = [client for each, client in self.waiting if each == item]
        self.waiting.remove((item, client))
        if client.source not in self.sources():
            self.passed_over.pop(client.source, None)
        return client

    def sources(self) -> Counter[str]:
        return Counter(client.source for _, client in self.waiting)

    def names(self, source: str) -> Counter[str]:
        return Counter(client.name for _, client in self.waiting if client.source == source)

    @rule(client=CLIENTS)
    def comes(self, client: ClientKey) -> None:
        self.queue.push(client, self.next)
        self.waiting.append((self.next, client))
        self.passed_over.setdefault(client.source, Counter())
        self.next += 1

    @rule()
    def is_served(self) -> None:
        item = self.queue.pop()
        if item is None:
            assert not self.waiting
            return
        client = self.leave(item)
        assert all(each > item for each, other in self.waiting if other == client), "first come"
        for source, passed in self.passed_over.items():
            if source != client.source:
                passed[client.source] += 1
                assert passed[client.source] <= 1, "nobody is served twice while another waits"
        if client.source in self.passed_over:
            self.passed_over[client.source].clear()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraws(self, data: st.DataObject) -> None:
        item = data.draw(st.sampled_from([item for item, _ in self.waiting]))
        assert self.queue.discard(item)
        assert not self.queue.discard(item)
        self.leave(item)

    @rule()
    def one_too_many(self) -> None:
        sources = self.sources()
        item = self.queue.shed()
        if item is None:
            assert not self.waiting
            return
        [client] = [client for each, client in self.waiting if each == item]
        assert sources[client.source] == max(sources.values())
        names = self.names(client.source)
        assert names[client.name] == max(names.values())
        assert all(each <= item for each, other in self.waiting if other == client), "the newest"
        self.leave(item)

    @rule(client=CLIENTS)
    def comes_to_a_full_queue(self, client: ClientKey) -> None:
        self.comes(client)
        newcomer = self.next - 1
        sources, names = self.sources(), self.names(client.source)
        among_heaviest = sources[client.source] == max(sources.values()) and names[
            client.name
        ] == max(names.values())
        item = self.queue.shed()
        assert item is not None
        assert (item == newcomer) == among_heaviest
        self.leave(item)

    @invariant()
    def counts_are_exact(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert bool(self.queue) == bool(self.waiting)
        assert self.queue.clients == len(self.sources())
        assert sorted(self.queue) == [item for item, _ in self.waiting]
        assert all(item in self.queue for item, _ in self.waiting)


TestFairQueue = FairQueueMachine.TestCase


@given(st.lists(CLIENTS, max_size=60))
def test_the_order_that_is_foretold_is_the_one_that_comes(clients: list[ClientKey]) -> None:
    queue: FairQueue[int] = FairQueue()
    for item, client in enumerate(clients):
        queue.push(client, item)
    foretold = list(queue)
    assert [queue.pop() for _ in clients] == foretold
    assert queue.pop() is None


@given(st.dictionaries(SOURCES, st.integers(1, 50), min_size=1), st.integers(0, 120))
def test_shares_are_max_min_fair(wanted: dict[str, int], served: int) -> None:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for source, many in wanted.items():
        for number in range(many):
            queue.push(ClientKey(source), (source, number))
    got = Counter(item[0] for item in (queue.pop() for _ in range(served)) if item is not None)
    most = max(got.values(), default=0)
    for source, many in wanted.items():
        assert got[source] == many or got[source] >= most - 1


@given(st.lists(st.text(max_size=3), min_size=1, max_size=30))
def test_names_share_the_turns_of_their_client(names: list[str]) -> None:
    queue: FairQueue[str] = FairQueue()
    for number, name in enumerate(names):
        queue.push(ClientKey("many", name), f"many {number}")
    for number in range(len(names)):
        queue.push(ClientKey("plain"), f"plain {number}")
    order = [queue.pop() for _ in range(2 * len(names))]
    assert [str(item).split()[0] for item in order] == ["many", "plain"] * len(names)


@given(st.integers(1, 300), st.integers(1, 40))
def test_who_asks_one_at_a_time_waits_for_one_of_a_greedy_client_at_most(
    greedy: int, times: int
) -> None:
    queue: FairQueue[str] = FairQueue()
    for number in range(greedy):
        queue.push(ClientKey("greedy"), f"greedy {number}")
    for number in range(times):
        queue.push(ClientKey("modest"), f"modest {number}")
        assert f"modest {number}" in {queue.pop(), queue.pop()}


def test_one_item_waits_once() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.push(UNNAMED, "one")
    with pytest.raises(ValueError, match="waiting already"):
        queue.push(ClientKey("other"), "one")
    assert [queue.pop(), queue.pop()] == ["one", None]
