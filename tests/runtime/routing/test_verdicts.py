"""What each failure means, row by row of the design's table."""

from typing import get_args

import pytest

from providers.failures import Failure, FailureKind
from runtime.routing.verdicts import SUFFERED, VERDICTS, BreakerVerdict, Fallback, judge, status_of


def test_every_kind_of_failure_has_a_verdict() -> None:
    assert set(VERDICTS) == set(get_args(FailureKind))


@pytest.mark.parametrize(
    ("kind", "breaker", "same", "following", "status"),
    [
        ("connect", "failure", True, True, 502),
        ("reset", "failure", True, True, 502),
        ("tls", "failure", True, True, 502),
        ("timeout", "failure", True, True, 504),
        ("server_error", "failure", True, True, 502),
        ("bad_answer", "failure", False, True, 502),
        ("rate_limited", "none", True, True, 429),
        ("account", "set_aside", False, True, 502),
        ("client_error", "ignored", False, False, 400),
        ("model_not_found", "ignored", False, False, 404),
        ("context_too_long", "ignored", False, False, 400),
        ("content_filter", "ignored", False, False, 400),
        ("first_token_timeout", "failure", False, True, 504),
        ("stall", "failure", False, True, 504),
        ("broken_stream", "failure", False, False, 502),
        ("queue_full", "none", False, True, 503),
        ("provider_down", "none", True, True, 503),
        ("circuit_open", "none", False, True, 503),
        ("not_configured", "none", False, True, 503),
    ],
)
def test_the_table_says_what_the_design_says(
    kind: FailureKind, breaker: BreakerVerdict, same: bool, following: bool, status: int
) -> None:
    verdict = VERDICTS[kind]
    assert verdict.breaker == breaker
    assert verdict.same_provider is same
    assert verdict.next_provider is following
    assert verdict.status == status
    assert verdict.gate is (kind == "rate_limited")


def test_a_model_one_provider_does_not_know_may_be_known_to_the_next() -> None:
    assert judge(Failure("model_not_found", "a", "no such model", status=404)).next_provider
    assert not judge(Failure("model_not_found", "a", "no"), frozenset()).next_provider
    assert not judge(Failure("client_error", "a", "bad request", status=400)).next_provider
    assert judge(Failure("stall", "a", "silent")) is VERDICTS["stall"]


@pytest.mark.parametrize("kind", get_args(Fallback))
def test_a_group_says_after_which_refusals_the_next_member_is_asked(kind: Fallback) -> None:
    refused = Failure(kind, "a", "no")
    assert judge(refused, frozenset({kind})).next_provider
    assert not judge(refused, frozenset()).next_provider
    assert judge(refused, frozenset({kind})).breaker == "ignored"
    assert not judge(Failure("client_error", "a", "no"), frozenset({kind})).next_provider


@pytest.mark.parametrize(
    ("kind", "upstream", "seen"),
    [
        ("model_not_found", 404, 404),
        ("context_too_long", 413, 413),
        ("context_too_long", None, 400),
        ("client_error", 422, 422),
        ("client_error", None, 400),
        ("content_filter", 451, 451),
        ("content_filter", 200, 400),
        ("server_error", 500, 502),
        ("server_error", 503, 503),
        ("server_error", 504, 504),
        ("server_error", 529, 503),
        ("account", 401, 502),
        ("rate_limited", 429, 429),
        ("first_token_timeout", None, 504),
    ],
)
def test_the_asker_sees_a_status_that_says_who_was_at_fault(
    kind: FailureKind, upstream: int | None, seen: int
) -> None:
    assert status_of(Failure(kind, "a", "x", status=upstream)) == seen


def test_only_what_a_provider_is_to_blame_for_makes_it_unhealthy() -> None:
    assert {"connect", "account", "rate_limited", "provider_down"} <= SUFFERED
    assert not SUFFERED & {"client_error", "content_filter", "queue_full", "circuit_open"}


def test_a_failure_tells_provider_and_message_and_never_the_upstreams_body() -> None:
    failure = Failure("account", "a", "refused", status=401, upstream_body=b"key sk-secret is bad")
    assert str(failure) == "a: refused"
    assert "secret" not in repr(failure)
