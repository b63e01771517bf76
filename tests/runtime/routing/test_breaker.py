"""The circuit as a state machine, by examples; the property tests try the rest."""

import math

import pytest

from runtime.routing.breaker import ALWAYS, BreakerSettings, Circuit, State
from runtime.routing.breaker_view import BreakerView


def circuit(**settings: float) -> Circuit:
    return Circuit(BreakerSettings(**settings), now=0.0, fraction=lambda: 0.0)  # type: ignore[arg-type]  # whole numbers stay whole


def state(subject: Circuit) -> State:
    """Read it anew: mypy takes an attribute to keep the value it was compared with."""
    return subject.state


def fail(subject: Circuit, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        subject.record(failed=True, started=now, now=now)


def test_consecutive_failures_open_it_and_a_success_breaks_the_row() -> None:
    subject = circuit(failure_threshold=3, minimum_calls=100)
    fail(subject, 2)
    subject.record(failed=False, started=0.0, now=0.0)
    fail(subject, 2)
    assert state(subject) == "closed"
    fail(subject, 1)
    assert state(subject) == "open"
    assert subject.acquire(0.0) is None


def test_a_share_of_failures_opens_it_once_there_are_enough_calls() -> None:
    subject = circuit(failure_threshold=100, failure_rate=0.5, minimum_calls=6)
    for second in range(3):
        subject.record(failed=False, started=0.0, now=float(second))
        assert state(subject) == "closed"
        fail(subject, 1, float(second))
    assert state(subject) == "open"


def test_old_failures_leave_the_window() -> None:
    subject = circuit(failure_threshold=100, failure_rate=0.5, minimum_calls=4, window=10)
    fail(subject, 3, 1.0)
    subject.record(failed=True, started=12.0, now=12.0)
    assert state(subject) == "closed"
    assert (subject.window.calls, subject.window.failures) == (1, 1)


def test_it_half_opens_by_time_alone_and_closes_on_a_good_probe() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10)
    fail(subject, 1)
    assert subject.until == 5.0, "equal jitter: at least half of the recovery time"
    assert subject.acquire(4.9) is None
    assert subject.at(5.0) == "half_open"
    assert state(subject) == "open", "looking changes nothing"
    probe = subject.acquire(5.0)
    assert probe is not None
    assert subject.acquire(5.0) is None
    subject.record(failed=False, started=5.0, now=5.5)
    assert state(subject) == "closed"
    assert subject.acquire(5.5) is ALWAYS


def test_whoever_looks_and_whoever_asks_see_it_open_to_the_same_moment() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10)
    fail(subject, 1)
    assert not subject.ready(4.999)
    assert subject.acquire(4.999) is None
    assert subject.ready(5.0)
    assert subject.acquire(5.0) is not None


def test_a_reset_forgets_how_often_it_has_opened() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10, max_recovery_timeout=100)
    fail(subject, 1)
    subject.acquire(5.0)
    fail(subject, 1, 5.0)
    assert subject.until == 15.0, "half of twice the time"
    subject.fire("reset", 6.0)
    fail(subject, 1, 6.0)
    assert subject.until == 11.0


def test_failed_probes_double_the_open_time_up_to_its_cap() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10, max_recovery_timeout=35)
    fail(subject, 1)
    waits = []
    for _ in range(4):
        now = subject.until
        waits.append(now - subject.since)
        assert subject.acquire(now) is not None
        fail(subject, 1, now)
    assert waits == [5.0, 10.0, 17.5, 17.5]


def test_reopening_soon_goes_on_growing_and_a_lasting_recovery_starts_anew() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10, window=30)
    for expected in (5.0, 10.0):
        fail(subject, 1, subject.since)
        assert subject.until - subject.since == expected
        subject.tick(subject.until)
        subject.record(failed=False, started=subject.until, now=subject.until)
        assert state(subject) == "closed"
    fail(subject, 1, subject.since + 30.0)
    assert subject.until - subject.since == 5.0


def test_a_probe_whose_permit_is_lost_makes_way_for_another() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10, probe_timeout=3)
    fail(subject, 1)
    lost = subject.acquire(5.0)
    assert subject.acquire(7.9) is None
    assert subject.acquire(8.0) is not None
    assert lost is not None
    lost.release()
    assert subject.acquire(8.0) is None, "what comes back late gives nothing twice"


def test_more_probes_decide_by_the_share_and_as_early_as_they_can() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10, half_open_limit=4)
    fail(subject, 1)
    subject.tick(5.0)
    fail(subject, 1, 5.0)
    subject.record(failed=False, started=5.0, now=5.0)
    assert state(subject) == "half_open"
    fail(subject, 1, 5.0)
    assert state(subject) == "open"


def test_half_open_begins_when_its_time_has_come_and_not_when_somebody_looks() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10)
    fail(subject, 1)
    subject.record(failed=False, started=6.0, now=8.0)
    assert state(subject) == "closed"


def test_enough_good_probes_outweigh_a_bad_one() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10, half_open_limit=3)
    fail(subject, 1)
    subject.tick(5.0)
    fail(subject, 1, 5.0)
    subject.record(failed=False, started=5.0, now=5.0)
    assert state(subject) == "half_open"
    subject.record(failed=False, started=5.0, now=5.0)
    assert state(subject) == "closed"


def test_outcomes_of_calls_from_before_the_state_say_nothing() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10)
    fail(subject, 1)
    subject.tick(5.0)
    subject.record(failed=True, started=4.9, now=6.0)
    assert state(subject) == "half_open"


def test_forced_states_hold_until_a_reset() -> None:
    subject = circuit(failure_threshold=1)
    subject.fire("force_open", 0.0)
    assert subject.acquire(1e9) is None
    assert subject.retry_in(0.0) == math.inf
    subject.fire("force_close", 0.0)
    fail(subject, 5)
    assert subject.acquire(0.0) is ALWAYS
    assert subject.window.failures == 5
    subject.fire("disable", 0.0)
    fail(subject, 5)
    assert subject.window.failures == 5
    subject.fire("reset", 0.0)
    assert (subject.state, subject.window.calls, subject.consecutive) == ("closed", 0, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("failure_threshold", 0),
        ("minimum_calls", 0),
        ("half_open_limit", 0),
        ("failure_rate", 0.0),
        ("failure_rate", 1.1),
        ("slow_call_rate", 0.0),
        ("slow_call_rate", 1.1),
        ("slow_call_threshold", 0.0),
        ("slow_call_threshold", math.inf),
        ("window", 0.0),
        ("recovery_timeout", math.inf),
        ("probe_timeout", -1.0),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        BreakerSettings(**{name: value})  # type: ignore[arg-type]  # the point of the test


def test_a_provider_that_is_set_aside_is_shown_open_and_tried_by_one_request_at_a_time() -> None:
    view = BreakerView("a", BreakerSettings(account_recheck=60.0), now=0.0)
    view.account.record(failed=True, started=0.0, now=0.0)
    assert view.state == "closed"
    assert view.shown(0.0) == "open"
    assert view.acquire(29.0) is None
    assert view.refusal("a", 0.0).kind == "account"
    assert view.status(0.0).set_aside
    permit = view.acquire(60.0)
    assert permit is not None
    assert view.acquire(60.0) is None
    permit.release()
    assert view.acquire(60.0) is not None


def test_a_request_needs_the_permits_of_circuit_and_account_and_gives_both_back() -> None:
    settings = BreakerSettings(failure_threshold=1, recovery_timeout=60.0)
    view = BreakerView("a", settings, now=0.0)
    view.account.record(failed=True, started=0.0, now=0.0)
    view.circuit.record(failed=True, started=0.0, now=0.0)
    permit = view.acquire(60.0)
    assert permit is not None
    assert not view.ready(60.0)
    permit.release()
    permit.release()
    assert view.ready(60.0)
    blocked = view.circuit.acquire(60.0)
    assert blocked is not None
    assert view.acquire(60.0) is None
    assert view.account.ready(60.0), "the account's permit was given back"


def test_a_refusal_says_when_to_come_back() -> None:
    view = BreakerView("a", BreakerSettings(failure_threshold=1), now=0.0)
    view.circuit.record(failed=True, started=0.0, now=0.0)
    refusal = view.refusal("a", 0.0)
    assert refusal.kind == "circuit_open"
    assert refusal.retry_after == pytest.approx(view.circuit.until)
    view.circuit.tick(view.circuit.until)
    assert view.refusal("a", view.circuit.until).retry_after == 1.0
    view.circuit.fire("force_open", 100.0)
    assert view.refusal("a", 100.0).retry_after is None


def test_an_open_circuit_can_be_probed_ahead_of_its_time_and_failing_costs_it_nothing() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=60.0, half_open_limit=1)
    fail(subject, 1)
    until, openings = subject.until, subject.openings
    for now in (5.0, 10.0):
        assert not subject.ready(now)
        assert subject.hasten(now)
        assert state(subject) == "half_open"
        permit = subject.acquire(now)
        assert permit is not None
        assert not subject.hasten(now), "its only permit is out"
        permit.release()
        fail(subject, 1, now)
        assert (state(subject), subject.until, subject.openings) == ("open", until, openings)
    assert subject.hasten(20.0)
    subject.record(failed=False, started=20.0, now=20.0)
    assert state(subject) == "closed"


def test_a_probe_ahead_of_its_time_that_fails_late_counts_as_one_in_time() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10.0)
    fail(subject, 1)
    assert subject.hasten(1.0)
    subject.record(failed=True, started=1.0, now=50.0)
    assert (state(subject), subject.openings) == ("open", 2)
    assert subject.until > 50.0


def test_nothing_hastens_what_a_person_holds_open() -> None:
    view = BreakerView("a", BreakerSettings(failure_threshold=1), now=0.0)
    assert view.hasten(0.0), "a closed one takes requests anyway"
    view.account.record(failed=True, started=0.0, now=0.0)
    view.circuit.fire("force_open", 0.0)
    assert not view.hasten(1.0)
    assert view.account.state == "open", "and the rest of it is left as it was"
    view.circuit.fire("reset", 1.0)
    assert view.reason(1.0) == "set_aside"
    assert view.hasten(1.0)
    assert view.acquire(1.0) is not None
    assert view.reason(1.0) == "set_aside", "its probe is out"


def answer(subject: Circuit, first_token: float | None, now: float = 0.0) -> None:
    """Record one good answer that began at ``now``."""
    slow = subject.is_slow(first_token)
    subject.record(failed=False, started=now, now=now, slow=slow)


def test_a_share_of_slow_answers_opens_it_and_it_says_so() -> None:
    subject = circuit(slow_call_threshold=2.0, slow_call_rate=0.5, minimum_calls=4)
    for first_token in (2.0, 0.1, 2.1):
        answer(subject, first_token)
    assert state(subject) == "closed", "too few to tell"
    answer(subject, 9.0)
    assert state(subject) == "open"
    assert subject.why == ("2 of 4 answers within 30 s were slow (first token after more than 2 s)")


def test_answers_without_a_first_token_neither_help_nor_hurt_a_slow_provider() -> None:
    subject = circuit(slow_call_threshold=2.0, slow_call_rate=0.5, minimum_calls=2)
    for _ in range(20):
        answer(subject, None)
    answer(subject, 3.0)
    assert state(subject) == "closed"
    answer(subject, 3.0)
    assert state(subject) == "open"


def test_slow_answers_are_forgotten_with_the_window() -> None:
    subject = circuit(slow_call_threshold=2.0, minimum_calls=2, window=10)
    answer(subject, 3.0, 1.0)
    answer(subject, 3.0, 12.0)
    assert state(subject) == "closed"
    assert subject.window.slow == 1


def test_without_a_threshold_no_answer_is_slow() -> None:
    subject = circuit(minimum_calls=1, slow_call_rate=0.1)
    for _ in range(50):
        answer(subject, 3600.0)
    assert state(subject) == "closed"
    assert subject.window.timed == 0


def test_a_slow_probe_is_a_failed_one() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10, slow_call_threshold=2.0)
    fail(subject, 1)
    subject.tick(5.0)
    answer(subject, 3.0, 5.0)
    assert state(subject) == "open"
    assert subject.why == "its probe was slow"


def test_calls_that_fail_by_one_event_count_once_in_the_row_and_each_in_the_window() -> None:
    subject = circuit(failure_threshold=5, minimum_calls=100)
    for number in range(50):
        # Fifty requests on one connection, begun one after another, until it breaks.
        subject.record(failed=True, started=number * 0.1, now=10.0 + number * 0.001)
    assert state(subject) == "closed"
    assert (subject.consecutive, subject.window.failures) == (1, 50)
    for number in range(3):
        fail(subject, 1, 11.0 + number)
    assert state(subject) == "closed"
    fail(subject, 1, 15.0)
    assert state(subject) == "open"
    assert subject.why == "5 failures in a row"


def test_many_calls_that_fail_by_one_event_open_it_by_their_share() -> None:
    subject = circuit(failure_threshold=5, minimum_calls=10, failure_rate=0.5)
    for number in range(10):
        subject.record(failed=True, started=0.1 * number, now=10.0)
    assert state(subject) == "open"
    assert subject.why == "10 of 10 calls within 30 s failed"


def test_calls_that_time_out_one_by_one_are_no_one_event() -> None:
    subject = circuit(failure_threshold=5, minimum_calls=100)
    for number in range(5):
        began = number * 3.0
        subject.record(failed=True, started=began, now=began + 60.0)
    assert state(subject) == "open"


def test_it_no_longer_says_why_once_it_has_recovered() -> None:
    subject = circuit(failure_threshold=1, recovery_timeout=10)
    fail(subject, 1)
    assert subject.why == "1 failure in a row"
    subject.tick(5.0)
    assert subject.why == "1 failure in a row", "half-open, it still matters"
    fail(subject, 1, 5.0)
    assert subject.why == "its probe failed"
    subject.fire("force_close", 6.0)
    assert subject.why == ""


def test_other_settings_hold_at_once_and_another_window_begins_empty() -> None:
    subject = circuit(failure_threshold=3, minimum_calls=100)
    fail(subject, 2)
    subject.configure(BreakerSettings(failure_threshold=2, minimum_calls=100))
    assert subject.window.failures == 2
    subject.configure(BreakerSettings(failure_threshold=9, minimum_calls=100, window=5.0))
    assert (subject.window.failures, subject.consecutive) == (0, 2)


def test_fewer_probes_to_decide_by_do_not_leave_it_waiting_for_none() -> None:
    subject = circuit(failure_threshold=1, half_open_limit=3)
    fail(subject, 1)
    now = subject.until
    for _ in range(2):
        permit = subject.acquire(now)
        assert permit is not None
        subject.record(failed=False, started=now, now=now)
        permit.release()
    subject.configure(BreakerSettings(failure_threshold=1, half_open_limit=2))
    assert subject.acquire(now) is not None, "nobody else could ever close it"


def test_a_refusal_and_the_status_say_why_it_is_open() -> None:
    view = BreakerView("a", BreakerSettings(failure_threshold=2), now=0.0)
    fail(view.circuit, 2)
    assert "(2 failures in a row)" in str(view.refusal("a", 1.0))
    assert view.status(1.0).reason == "2 failures in a row"
    view.circuit.fire("force_open", 1.0)
    assert view.status(1.0).reason == "held open by hand"
    view.circuit.fire("reset", 1.0)
    assert view.status(1.0).reason is None
