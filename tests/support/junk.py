"""Good JSON with junk in the place of one or two of its values."""

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

__all__ = ["junk", "spoilt"]

junk: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just("text"),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "text", "name", "id"]), inner, max_size=2)
    ),
    max_leaves=4,
)
"""A value that is hardly ever what is expected."""


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the way to every value within one."""
    found = [at] if at else []
    if isinstance(value, dict):
        for key, each in value.items():
            found += _places(each, (*at, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            found += _places(each, (*at, number))
    return found


@st.composite
def spoilt(draw: st.DrawFn, examples: Sequence[Any]) -> Any:
    """Draw an example in which one or two values are junk."""
    body = copy.deepcopy(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, 2))):
        way = draw(st.sampled_from(_places(body)))
        inner = body
        for step in way[:-1]:
            inner = inner[step]
        inner[way[-1]] = draw(junk)
    return body
