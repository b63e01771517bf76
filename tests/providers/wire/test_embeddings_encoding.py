"""Embeddings come in the form that was asked for, whatever form the server gave them in."""

import base64
import json
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wire.embeddings_encoding import in_asked_encoding

single = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(st.lists(single, min_size=1, max_size=8), min_size=1, max_size=4)


def asked(form: str | None) -> bytes:
    body = {"model": "e-1", "input": "x"}
    return json.dumps(body if form is None else {**body, "encoding_format": form}).encode()


def packed(numbers: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def answer(shown: Sequence[object]) -> bytes:
    data = [
        {"object": "embedding", "index": index, "embedding": each, "own": {"b": 1, "a": None}}
        for index, each in enumerate(shown)
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return json.dumps({"object": "list", "data": data, "model": "e-1", "usage": usage}).encode()


@pytest.mark.parametrize("form", ["float", None, "base64"])
@given(vectors)
def test_vectors_that_are_in_the_form_asked_for_stay_byte_for_byte(
    form: str | None, given: list[list[float]]
) -> None:
    body = answer([packed(each) for each in given] if form == "base64" else given)
    assert in_asked_encoding(asked(form), body) is body


@given(vectors)
def test_lists_are_packed_for_who_asks_for_base64(given: list[list[float]]) -> None:
    found = in_asked_encoding(asked("base64"), answer(given))
    assert json.loads(found) == json.loads(answer([packed(each) for each in given]))


@pytest.mark.parametrize("form", ["float", None])
@given(vectors)
def test_base64_is_unpacked_for_who_does_not_ask_for_it(
    form: str | None, given: list[list[float]]
) -> None:
    found = in_asked_encoding(asked(form), answer([packed(each) for each in given]))
    assert json.loads(found) == json.loads(answer(given))


@given(vectors)
def test_there_and_back_is_the_same(given: list[list[float]]) -> None:
    body = answer([packed(each) for each in given])
    there = in_asked_encoding(asked("float"), body)
    assert json.loads(in_asked_encoding(asked("base64"), there)) == json.loads(body)


def test_mixed_forms_become_one() -> None:
    found = json.loads(in_asked_encoding(asked("float"), answer([[0.5], packed([0.25])])))
    assert [each["embedding"] for each in found["data"]] == [[0.5], [0.25]]


def test_all_else_keeps_its_order() -> None:
    found = in_asked_encoding(asked("base64"), answer([[0.5]]))
    assert json.dumps(json.loads(found)) == answer([packed([0.5])]).decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"oops",
        b"[]",
        b"{}",
        b'{"data": {}}',
        b'{"data": [{}]}',
        b'{"data": [{"embedding": "no base64"}]}',
        b'{"data": [{"embedding": "AAAA"}]}',
        b'{"data": [{"embedding": null}]}',
        b'{"data": [{"embedding": {"sparse": [1]}}]}',
    ],
)
def test_what_is_not_as_it_should_be_stays_as_it_is(body: bytes) -> None:
    assert in_asked_encoding(asked("float"), body) == body


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_vector_that_json_has_no_numbers_for_stays_packed(number: float) -> None:
    body = answer([packed([0.5, number])])
    assert in_asked_encoding(asked("float"), body) is body


@pytest.mark.parametrize("number", [3.5e38, -1e300])
def test_a_vector_that_32_bits_cannot_hold_stays_a_list(number: float) -> None:
    body = answer([[0.5, number]])
    assert in_asked_encoding(asked("base64"), body) is body


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_junk_is_never_an_error(request: bytes, body: bytes) -> None:
    assert in_asked_encoding(request, body) == body
