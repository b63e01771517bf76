"""Pages of models: which part of a list a client asked for."""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from providers.wire.faults import WireError
from providers.wire.values import ModelEntry

__all__ = ["MAX_PAGE", "page_of"]

MAX_PAGE = 1000
"""Models of one page at most, as Anthropic has it."""

_DEFAULT_PAGE = 20


def page_of(models: Sequence[ModelEntry], query: str) -> tuple[Sequence[ModelEntry], bool]:
    """Return the part of a list that Anthropic's ``limit``, ``after_id`` and ``before_id`` name.

    Args:
        models: All models, in order.
        query: The request's query string.

    Returns:
        The models of the page, and whether more follow in the direction asked for.

    Raises:
        WireError: A parameter is not what it should be.
    """
    given: Mapping[str, list[str]] = parse_qs(query)
    limit_text = given.get("limit", [str(_DEFAULT_PAGE)])[-1]
    limit = int(limit_text) if limit_text.isdecimal() and len(limit_text) <= 4 else 0
    if not 1 <= limit <= MAX_PAGE:
        raise WireError(f"limit: a number from 1 to {MAX_PAGE} is expected", param="limit")
    after, before = given.get("after_id"), given.get("before_id")
    if after and before:
        raise WireError("after_id and before_id cannot be given together", param="before_id")
    if before:
        end = _position(models, before[-1], "before_id")
        start = max(0, end - limit)
        return models[start:end], start > 0
    start = _position(models, after[-1], "after_id") + 1 if after else 0
    return models[start : start + limit], start + limit < len(models)


def _position(models: Sequence[ModelEntry], name: str, param: str) -> int:
    for position, model in enumerate(models):
        if model.id == name:
            return position
    raise WireError(f"{param}: there is no model {name!r}", param=param)
