"""What is read from the headers of one request: wishes, patience, mistakes."""

import math

import pytest

from providers.http import Request
from runtime.doors.wishes import WishError, asked
from runtime.routing.wishes import Wishes


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request("POST", "/", pairs, b"", keep_alive=True, http_version="1.1")


def refusal(name: str, *values: str) -> str:
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for value in values]
    with pytest.raises(WishError) as caught:
        asked(Request("POST", "/", pairs, b"", keep_alive=True, http_version="1.1"))
    assert caught.value.header == name[:100]
    return str(caught.value)


def test_a_request_that_says_nothing_wishes_nothing() -> None:
    found = asked(request(user_agent="x", x_stainless_lang="python", x_standby_token="t0ken"))
    assert found.wishes is None
    assert found.whole == found.answer == math.inf


def test_every_wish_is_read() -> None:
    found = asked(
        request(
            x_standby_group="chat",
            x_standby_provider="a",
            x_standby_failover="none",
            x_standby_max_attempts="2",
            x_standby_timeout="500ms",
        )
    )
    assert found.wishes == Wishes(group="chat", provider="a", failover=False, max_attempts=2)
    assert (found.whole, found.whole_by) == (0.5, "x-standby-timeout")


@pytest.mark.parametrize(
    ("text", "failover"),
    [("none", False), ("OFF", False), ("false", False), ("no", False), ("0", False), ("on", True)],
)
def test_failover_is_read_in_the_words_people_use(text: str, failover: bool) -> None:
    assert asked(request(x_standby_failover=text)).wishes == Wishes(failover=failover)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("0.5", 0.5), (" 2 ", 2), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("3 s", 3)],
)
def test_a_timeout_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert asked(request(x_standby_timeout=text)).whole == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1", "soon", "1d", "inf", "nan", "1e3", "٣", "1 2"]
)
def test_a_timeout_that_is_none_is_refused_by_name(text: str) -> None:
    header = Request(
        "POST",
        "/",
        [(b"x-standby-timeout", text.encode())],
        b"",
        keep_alive=True,
        http_version="1.1",
    )
    with pytest.raises(WishError, match=r"^x-standby-timeout: expected seconds above 0, or"):
        asked(header)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "1" * 10, "²"])
def test_a_number_of_attempts_that_is_none_is_refused_by_name(text: str) -> None:
    assert "expected a whole number of attempts" in refusal("x-standby-max-attempts", text)


def test_a_word_for_failover_that_says_nothing_is_refused() -> None:
    assert refusal("x-standby-failover", "maybe") == (
        "x-standby-failover: expected none, for no other provider than the first, not 'maybe'"
    )


def test_an_empty_name_is_refused() -> None:
    assert "expected a name" in refusal("x-standby-group", "")
    assert "expected a name" in refusal("x-standby-provider", " ")


def test_a_wish_given_twice_is_refused() -> None:
    assert "twice" in refusal("x-standby-group", "a", "b")


def test_a_misspelt_header_is_refused_with_the_one_that_was_meant() -> None:
    assert refusal("x-standby-tiemout", "3") == (
        "x-standby-tiemout: there is no such header; did you mean x-standby-timeout?"
    )
    assert "there are x-standby-group, x-standby-provider" in refusal("x-standby-\xff\xfe", "3")


def test_what_is_repeated_of_a_header_has_a_bound() -> None:
    assert len(refusal("x-standby-failover", "z" * 5000)) < 300
    assert len(refusal("x-standby-" + "z" * 5000, "1")) < 400


@pytest.mark.parametrize(
    ("headers", "whole", "answer"),
    [
        ({"x-request-timeout": "2.5"}, (2.5, "x-request-timeout"), None),
        (
            {"x-request-timeout": "9", "x-standby-timeout": "4"},
            (4.0, "x-standby-timeout"),
            None,
        ),
        (
            {"x-request-timeout": "3", "x-standby-timeout": "4"},
            (3.0, "x-request-timeout"),
            None,
        ),
        ({"x-stainless-timeout": "30"}, None, (30.0, "x-stainless-timeout")),
        (
            {"x-stainless-timeout": "600", "x-stainless-read-timeout": "20"},
            None,
            (20.0, "x-stainless-read-timeout"),
        ),
        (
            {"x-stainless-timeout": "NOT_GIVEN", "x-stainless-read-timeout": "7"},
            None,
            (7.0, "x-stainless-read-timeout"),
        ),
        ({"x-stainless-read-timeout": "None"}, None, None),
        ({"x-stainless-timeout": "nan", "x-request-timeout": "-1"}, None, None),
        ({"x-stainless-timeout": "0", "x-request-timeout": ""}, None, None),
    ],
)
def test_what_clients_say_of_their_patience_is_read_and_their_nonsense_passed_over(
    headers: dict[str, str], whole: tuple[float, str] | None, answer: tuple[float, str] | None
) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    found = asked(Request("POST", "/", pairs, b"", keep_alive=True, http_version="1.1"))
    assert (found.whole, found.whole_by) == (whole or (math.inf, ""))
    assert (found.answer, found.answer_by) == (answer or (math.inf, ""))


def test_a_head_that_came_before_is_not_read_again() -> None:
    first = request(x_standby_timeout="3")
    again = Request(
        "POST", "/", [], b"", keep_alive=True, http_version="1.1", derived=first.derived
    )
    assert asked(first) is asked(again)
