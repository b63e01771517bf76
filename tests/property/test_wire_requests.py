"""Requests with another model: nothing else in them changes, whatever they hold."""

import json
from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from providers.wire import OPENAI, WireError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["model", '"model"', "\\", '":', "{", "]"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "a", '"']) | st.text(max_size=4), inner)
    ),
    max_leaves=8,
)
members = st.lists(
    st.tuples(st.sampled_from(["model", "messages", "n", 'q"\\']) | st.text(max_size=5), values),
    max_size=6,
)
spaces = st.sampled_from(["", " ", "\n\t", "\r\n "])


def _pairs(body: bytes) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = json.loads(body, object_pairs_hook=list)
    return found


@given(
    before=members,
    after=members,
    space=spaces,
    ascii_only=st.booleans(),
    model=st.text(min_size=1, max_size=8),
)
@example(
    before=[], after=[("model", 12), ("n", 1), ("model", 1)], space="", ascii_only=True, model="x"
)
def test_only_the_model_changes_and_everything_else_stays(
    before: list[tuple[str, Any]],
    after: list[tuple[str, Any]],
    space: str,
    ascii_only: bool,
    model: str,
) -> None:
    def write(replacement: str | None) -> bytes:
        parts = []
        for name, value in [*before, ("model", "old"), *after]:
            text = json.dumps(value, ensure_ascii=ascii_only)
            if name == "model" and replacement is not None:
                text = replacement
            parts.append(f"{space}{json.dumps(name)}{space}:{space}{text}{space}")
        return (space + "{" + ",".join(parts) + "}" + space).encode("utf-8", "surrogatepass")

    changed = OPENAI.with_model(write(None), model)
    assert changed == write(msgspec.json.encode(model).decode())
    assert all(value == model for name, value in _pairs(changed) if name == "model")


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_either_understood_or_refused_in_words(body: bytes) -> None:
    model = refusal = None
    try:
        model = OPENAI.peek_request(body).model
    except WireError as error:
        refusal = error
    if refusal is None:
        assert json.loads(body)["model"] == model
    else:
        assert refusal.status == 400
        assert refusal.message
