"""What Claude models differ in, as far as a request must know.

Names are matched as they are at Anthropic and at other houses (``us.anthropic.claude-...-v1:0``,
``claude-...@date``). Names that tell nothing are taken for the newest models.
"""

import re
from functools import lru_cache
from typing import Final

import msgspec

__all__ = ["ClaudeModel", "claude_model"]


class ClaudeModel(msgspec.Struct, frozen=True, kw_only=True):
    """What a model takes.

    Attributes:
        max_tokens: The longest answer that can be asked for; what a request without a bound gets.
        effort: Whether it takes ``output_config.effort``; others get a budget of thought.
        thinks: Whether it thinks at all.
        prefill: Whether it goes on from an assistant's message.
        one_sampler: Whether it refuses ``temperature`` and ``top_p`` together.
        bounded: Whether ``max_tokens`` is known to be the most it gives, so that more is refused.
    """

    max_tokens: int
    effort: bool = True
    thinks: bool = True
    prefill: bool = False
    one_sampler: bool = True
    bounded: bool = True


_OLD = re.compile(r"claude-(?:instant|2|3-(?:opus|sonnet|haiku)|3\.?0?-)")
_MODELS: Final = (
    # Anthropic's overview of its models, and the tables of its SDK for answers that are not
    # streamed; the first that is found counts.
    (re.compile(r"claude-3-[57]-haiku|claude-3-5|claude-3\.5"), ClaudeModel(
        max_tokens=8192, effort=False, thinks=False, prefill=True, one_sampler=False)),
    (re.compile(r"claude-3[-.]7"), ClaudeModel(
        max_tokens=64_000, effort=False, prefill=True, one_sampler=False)),
    (_OLD, ClaudeModel(
        max_tokens=4096, effort=False, thinks=False, prefill=True, one_sampler=False)),
    (re.compile(r"claude-(?:opus-4|4-opus)(?:$|[-.@](?:[01]|20\d{6})(?!\d))"), ClaudeModel(
        max_tokens=32_000, effort=False, prefill=True)),
    (re.compile(r"claude-(?:sonnet-4|4-sonnet)(?:$|[-.@](?:0|5|20\d{6})(?!\d))"), ClaudeModel(
        max_tokens=64_000, effort=False, prefill=True)),
    (re.compile(r"claude-haiku-4[-.]5"), ClaudeModel(
        max_tokens=64_000, effort=False, prefill=True)),
    (re.compile(r"claude-opus-4[-.]5"), ClaudeModel(max_tokens=64_000, prefill=True)),
    (re.compile(r"claude-[a-z]+-(?:4|5)"), ClaudeModel(max_tokens=64_000, bounded=False)),
)  # fmt: skip
_UNKNOWN: Final = ClaudeModel(max_tokens=8192, bounded=False)


@lru_cache(maxsize=256)
def claude_model(name: str) -> ClaudeModel:
    """Return what a model takes.

    Args:
        name: Its name.
    """
    for pattern, model in _MODELS:
        if pattern.search(name):
            return model
    return _UNKNOWN
