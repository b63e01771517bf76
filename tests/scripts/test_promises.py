"""A run's figures are judged as the promises say, and a missing figure is never a good one."""

import pytest
from benchmarks.loading import Load, Percentiles
from benchmarks.measures import JSON_64, Memory, Results, Start, summarise
from benchmarks.promises import Limit, Row, rows
from benchmarks.report import promises_table, wrong_answers

SOME = Percentiles(p50=100, p90=200, p99=300, p999=400, max=500)


def a_load(
    *, cpu: float | None, completed: int = 1000, errors: dict[str, int] | None = None
) -> Load:
    return Load(
        completed=completed,
        events=0,
        seconds=1.0,
        errors=errors or {},
        latency=SOME,
        first_byte=SOME,
        cpu=cpu,
    )


def a_row(value: float | None, yardstick: float | None) -> Row:
    return Row("CPU", value, yardstick, must=Limit(60, 3), aim=Limit(33, 1.6))


@pytest.mark.parametrize(
    ("value", "yardstick", "mark"),
    [
        (30, 20, "aim"),
        (30, 10, "must"),  # within the aim's microseconds, but three times nginx
        (40, 20, "must"),
        (50, 10, "missed"),  # five times nginx
        (70, 60, "missed"),
        (30, None, "aim"),
        (None, 20, "-"),
    ],
)
def test_a_bound_holds_only_with_its_ratio(
    value: float | None, yardstick: float | None, mark: str
) -> None:
    assert a_row(value, yardstick).mark == mark


def test_a_rate_is_to_be_at_least_its_bound() -> None:
    row = Row("times", 70, None, Limit(150, at_least=True), Limit(300, at_least=True))
    assert row.mark == "missed"
    assert Row("times", 200, None, row.must, row.aim).mark == "must"
    assert Row("times", 300, None, row.must, row.aim).mark == "aim"


def test_every_promise_has_a_row_even_when_nothing_was_measured() -> None:
    found = list(rows(Results()))
    assert len(found) == 10
    assert {row.mark for row in found} == {"-"}
    assert "CPU per JSON request" in promises_table(Results())


def test_medians_of_the_rounds_reach_their_rows() -> None:
    results = Results(
        throughput={
            "standby": {JSON_64.name: summarise([a_load(cpu=used) for used in (0.03, 0.04, 0.9)])},
            "nginx": {JSON_64.name: summarise([a_load(cpu=0.02)] * 3)},
        },
        memory={"standby": Memory(idle=29, per_1000_connections=5, per_1000_streams=30)},
        start=Start(command=39, bare_python=20),
    )
    by_name = {row.what: row for row in rows(results)}
    cpu = by_name["CPU per JSON request, 64 connections (µs)"]
    assert cpu.value == pytest.approx(40)
    assert cpu.ratio == pytest.approx(2)
    marks = [row.mark for row in rows(results)]
    assert marks == ["must", "-", "-", "-", "-", "-", "aim", "must", "missed", "aim"]


def test_wrong_answers_of_any_round_are_reported() -> None:
    loads = [a_load(cpu=0.1), a_load(cpu=0.1, errors={"status": 2}), a_load(cpu=0.1)]
    results = Results(throughput={"standby": {JSON_64.name: summarise(loads)}})
    assert wrong_answers(results) == ["Wrong answers: JSON, 64 connections, standby: {'status': 2}"]
