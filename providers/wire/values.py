"""What is read out of requests and answers, the same for every dialect."""

from collections.abc import Mapping

import msgspec

__all__ = ["AnswerPeek", "ModelEntry", "RequestPeek", "UpstreamError", "Usage", "count"]


class RequestPeek(msgspec.Struct, frozen=True, gc=False):
    """The little of a request that routing needs.

    Attributes:
        model: The model the asker named.
        stream: Whether a streamed answer is asked for.
    """

    model: str
    stream: bool = False


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens as the upstream counted them.

    The parts are contained in the totals, whatever the dialect: Anthropic reports cache reads and
    writes beside its ``input_tokens``, and they are added here.

    Attributes:
        input_tokens: All tokens of the prompt.
        output_tokens: All tokens of the answer.
        cache_read_tokens: Those of the prompt that were read from a cache.
        cache_write_tokens: Those of the prompt that were written to a cache.
        reasoning_tokens: Those of the answer that were spent on reasoning.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class AnswerPeek(msgspec.Struct, frozen=True, gc=False):
    """The little of a plain answer that the daemon looks at.

    Attributes:
        usage: What the upstream counted; None when it did not say.
        finish_reason: Why the answer ended, in the dialect's own word.
        model: The model that answered, as the upstream names it.
    """

    usage: Usage | None = None
    finish_reason: str | None = None
    model: str | None = None


class UpstreamError(msgspec.Struct, frozen=True, gc=False):
    """An error as an upstream put it.

    Attributes:
        type: The dialect's error type; empty where it gave none.
        code: A finer code, where it gave one.
        message: The upstream's text.
        status: The HTTP status that goes with the type: what an error in the middle of a stream
            would have been, had it come before. None where the type does not tell.
    """

    type: str
    code: str | None
    message: str
    status: int | None = None


class ModelEntry(msgspec.Struct, frozen=True, gc=False):
    """One model of a models page.

    Attributes:
        id: The name to ask for.
        owned_by: Who serves it.
        created: Seconds since the epoch; 0 where that is not known.
        display_name: A name for people; the id where there is none.
    """

    id: str
    owned_by: str = "standby"
    created: int = 0
    display_name: str | None = None


def count(values: Mapping[str, object], *path: str) -> int | None:
    """Return the number of tokens found under a path of keys; None where there is none.

    Upstreams leave fields out, send null, or count in floats: none of that may spoil an answer.

    Args:
        values: A usage object as decoded.
        path: The keys that lead to the number.
    """
    found: object = values
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float) or not found >= 0:
        return None
    return int(found) if found < 2**63 else None
