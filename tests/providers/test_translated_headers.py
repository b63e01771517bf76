"""Limits and ids of an answer go by the asker's names."""

import pytest

from providers.translated_headers import translated_headers

DATE = (b"date", b"Mon, 23 Nov 2026 12:00:00 GMT")


def test_openai_limits_are_told_to_an_anthropic_asker_under_its_names() -> None:
    found = translated_headers(
        [
            DATE,
            (b"x-ratelimit-limit-requests", b"60"),
            (b"x-ratelimit-remaining-tokens", b"149984"),
            (b"x-ratelimit-reset-requests", b"6m0s"),
            (b"x-request-id", b"req_1"),
            (b"openai-processing-ms", b"12"),
        ],
        "openai",
        "anthropic",
    )
    assert found == [
        DATE,
        (b"anthropic-ratelimit-requests-limit", b"60"),
        (b"anthropic-ratelimit-tokens-remaining", b"149984"),
        (b"anthropic-ratelimit-requests-reset", b"2026-11-23T12:06:00Z"),
        (b"request-id", b"req_1"),
    ]


@pytest.mark.parametrize(
    ("time", "told"),
    [
        (b"2026-11-23T12:00:00Z", b"0ms"),
        (b"2026-11-23T11:59:00Z", b"0ms"),
        (b"2026-11-23T12:00:59Z", b"59s"),
        (b"2026-11-23T12:06:00Z", b"6m0s"),
        (b"2026-11-23T13:01:05+00:00", b"1h1m5s"),
    ],
)
def test_anthropic_limits_are_told_to_an_openai_asker_under_its_names(
    time: bytes, told: bytes
) -> None:
    found = translated_headers(
        [
            DATE,
            (b"anthropic-ratelimit-requests-remaining", b"7"),
            (b"anthropic-ratelimit-tokens-reset", time),
            (b"anthropic-ratelimit-input-tokens-limit", b"9"),
            (b"anthropic-organization-id", b"org"),
            (b"request-id", b"req_2"),
        ],
        "anthropic",
        "openai",
    )
    assert found == [
        DATE,
        (b"x-ratelimit-remaining-requests", b"7"),
        (b"x-ratelimit-reset-tokens", told),
        (b"x-request-id", b"req_2"),
    ]


def test_a_time_that_makes_no_sense_is_left_out() -> None:
    headers = [(b"anthropic-ratelimit-tokens-reset", b"soon")]
    assert translated_headers(headers, "anthropic", "openai", wall_time=0.0) == []


def test_what_is_about_the_body_is_left_out_and_the_rest_stays() -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"7"),
        (b"retry-after", b"3"),
        (b"x-ratelimit-limit-requests", b"60"),
    ]
    assert translated_headers(headers, "openai", "openai") == headers[2:]
