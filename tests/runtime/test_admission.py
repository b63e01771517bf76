"""What is let in at the doors: bounds, shares, refusals, exact counts."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from providers.http import BadRequest, Peer
from runtime.admission import Admission, Admitted, Shed

PLACES, BYTES, OWN = 20, 1000, 12
PIDS = st.sampled_from([1, 2, 3, 4])


def admission(told: list[Shed], **bounds: int) -> Admission:
    given = {"max_in_flight": PLACES, "max_held": BYTES, "max_per_client": None, **bounds}
    return Admission(tell=told.append, clock=lambda: 0.0, **given)  # type: ignore[arg-type]  # None is a bound, too


class AdmissionMachine(RuleBasedStateMachine):
    """Admission beside a model that counts by itself. No time passes: nothing can be estimated."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Shed] = []
        self.admission = admission(self.told, max_per_client=OWN)
        self.sessions: list[Admitted] = []
        self.inside: list[Admitted] = []
        self.held: list[tuple[Admitted, int]] = []
        self.refused = 0

    @rule(pid=PIDS)
    def connects(self, pid: int) -> None:
        client = self.admission.arrive(Peer(pid=pid))
        assert all((client is each) == (client.key == each.key) for each in self.sessions)
        self.sessions.append(client)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data())
    def asks(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.sessions))
        own, total = self.inside.count(client), len(self.inside)
        refused = self.admission.enter(client)
        left = PLACES - total - 1
        if refused is None:
            assert total < PLACES
            assert own < OWN
            assert own == 0 or own + 1 <= 8 * left
            self.inside.append(client)
            return
        self.refused += 1
        assert refused.status == (503 if total == PLACES else 429)
        assert refused.retry_after == 1.0
        assert total == PLACES or own >= OWN or own + 1 > 8 * left
        assert own or total == PLACES, "who has nothing gets in as long as there is a place"

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def is_answered(self, data: st.DataObject) -> None:
        client = data.draw(st.sampled_from(self.inside))
        self.inside.remove(client)
        self.admission.leave(client)

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), size=st.integers(1, BYTES))
    def sends_a_body(self, data: st.DataObject, size: int) -> None:
        client = data.draw(st.sampled_from(self.sessions))
        own = sum(each for other, each in self.held if other is client)
        left = BYTES - sum(each for _, each in self.held) - size
        fits = left >= 0 and (own == 0 or own + size <= 8 * left)
        if fits:
            client.take(size)
            self.held.append((client, size))
            return
        self.refused += 1
        with pytest.raises(BadRequest) as caught:
            client.take(size)
        assert (caught.value.status, caught.value.retry_after) == (503, 1.0)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def lets_a_body_go(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.held) - 1))
        client, size = self.held.pop(number)
        client.give(size)

    @invariant()
    def counts_are_exact(self) -> None:
        shown = self.admission.status()
        assert shown["in_flight"] == len(self.inside) <= PLACES
        assert shown["held_bytes"] == sum(each for _, each in self.held) <= BYTES
        assert shown["clients"] == len({client.key for client in self.sessions})
        assert len(self.told) == self.refused
        for client in self.sessions:
            assert client.in_flight == self.inside.count(client)


TestAdmission = AdmissionMachine.TestCase


def test_a_client_alone_gets_nearly_all_and_another_still_something() -> None:
    told: list[Shed] = []
    door = admission(told, max_in_flight=90)
    one, two = door.arrive(Peer(pid=1)), door.arrive(Peer(pid=2))
    got = sum(door.enter(one) is None for _ in range(200))
    assert got == 80
    assert sum(door.enter(two) is None for _ in range(200)) == 8
    assert set(told) == {"client"}


def test_connections_from_one_address_are_one_client_whatever_their_ports() -> None:
    door = admission([])
    first = door.arrive(Peer(address="127.0.0.1:5000"))
    assert door.arrive(Peer(address="127.0.0.1:5001")) is first
    assert door.arrive(Peer(address="[::1]:5001")) is not first
    assert door.arrive(Peer(pid=7)) is not first


def test_a_client_that_left_is_forgotten() -> None:
    door = admission([])
    sessions = [door.arrive(Peer(pid=7)) for _ in range(2)]
    for session in sessions:
        assert door.status()["clients"] == 1
        door.depart(session)
    assert door.status()["clients"] == 0
