"""Exit reasons: why an incarnation ended, and what that means for its restart.

A reason is one of the words ``"normal"``, ``"shutdown"``, ``"killed"``, ``"noproc"``, another
word of the actor's choice, a ``Shutdown`` with a detail (OTP's ``{shutdown, Term}``), or the
exception that escaped.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Shutdown(msgspec.Struct, frozen=True):
    """An orderly end that says more than ``"shutdown"``; restarted or not just like that.

    Args:
        detail: what to tell readers: a word, a sentence or an exception.
    """

    detail: str | BaseException


Reason: TypeAlias = str | Shutdown | BaseException

_MAX_TEXT = 500


def is_orderly(reason: Reason) -> bool:
    """Whether a transient child that ended so is left alone.

    Args:
        reason: an exit reason.

    Returns:
        True for ``"normal"``, ``"shutdown"`` and ``Shutdown(...)``.
    """
    return (
        reason == "normal" or reason == "shutdown" or isinstance(reason, Shutdown)  # noqa: PLR1714 - a set would hash unhashable reasons
    )


def describe_reason(reason: Reason) -> str:
    """One line of plain text for an exit reason, bounded in length.

    Args:
        reason: an exit reason.

    Returns:
        The word itself, ``shutdown: detail``, or ``TypeName: message``.
    """
    if isinstance(reason, str):
        text = reason
    elif isinstance(reason, Shutdown):
        text = f"shutdown: {describe_reason(reason.detail)}"
    elif isinstance(reason, BaseExceptionGroup):
        causes = root_causes(reason)
        text = f"{len(causes)} errors: " + "; ".join(describe_reason(cause) for cause in causes)
    else:
        message = str(reason)
        text = f"{type(reason).__name__}: {message}" if message else type(reason).__name__
    text = " ".join(text.split())
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def root_causes(error: BaseException) -> list[BaseException]:
    """The leaves of a (nested) exception group, in order; the exception itself if it is none.

    Args:
        error: an exception, perhaps a group as trio's nurseries make them.

    Returns:
        At least one exception that is not a group.
    """
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [cause for member in error.exceptions for cause in root_causes(member)]


def unwrap(error: BaseException) -> BaseException:
    """Take away groups of one: a nursery wraps even a single error.

    Args:
        error: what escaped a nursery.

    Returns:
        The only member, however deep, or the group when there are several.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
