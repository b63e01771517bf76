"""The events of an answer, the same whatever API it came in.

An answer is any number of ``Metadata``, ``DeltaText``, ``DeltaThinking`` and ``DeltaToolCall``,
and then exactly one ``Done`` or one ``Error``. ``Done`` is there only when the upstream itself said
that its answer is complete.
"""

from typing import Any

import msgspec

from providers.wire.values import Usage

__all__ = [
    "ChatEvent",
    "DeltaText",
    "DeltaThinking",
    "DeltaToolCall",
    "Done",
    "Error",
    "Metadata",
]


class DeltaText(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag="delta_text",
    tag_field="type",
    repr_omit_defaults=True,
):
    """The next piece of the answer's text.

    Attributes:
        text: The piece; never empty. All those of a choice, joined, are its text.
        choice: Which choice it belongs to; always 0 with Anthropic.
        block: Which content block it belongs to; always 0 with OpenAI.
    """

    text: str
    choice: int = 0
    block: int = 0


class DeltaThinking(
    msgspec.Struct,
    frozen=True,
    gc=False,
    tag="delta_thinking",
    tag_field="type",
    repr_omit_defaults=True,
):
    """The next piece of the model's reasoning, where the upstream shows it.

    Attributes:
        text: The piece; empty where only the signature comes.
        choice: Which choice it belongs to; always 0 with Anthropic.
        block: Which content block it belongs to; always 0 with OpenAI.
        signature: What proves the block to be the model's own (Anthropic), to be sent back with it.
    """

    text: str
    choice: int = 0
    block: int = 0
    signature: str | None = None


class DeltaToolCall(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    tag="delta_tool_call",
    tag_field="type",
    repr_omit_defaults=True,
):
    """The next piece of a tool call.

    Attributes:
        index: Which call it is: its number within the choice (OpenAI), its content block
            (Anthropic).
        choice: Which choice it belongs to; always 0 with Anthropic.
        id: The call's id; with its first piece only.
        name: The tool's name; with the call's first piece only.
        arguments: The next piece of the arguments, as JSON text: joined, the pieces are whole
            JSON; nothing at all stands for no arguments.
    """

    index: int
    choice: int = 0
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Metadata(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="metadata",
    tag_field="type",
    repr_omit_defaults=True,
):
    """Something about the answer; what is not said is None.

    Attributes:
        provider: Who answers.
        attempts: Which attempt this is, from 1.
        request_id: Standby's own id of the request.
        id: The upstream's id of the answer.
        model: The model that answers, as the upstream names it.
        usage: Tokens counted so far.
        extra: What an event said that no other attribute and no other event has a place for
            (refusals, citations, log probabilities, a provider's own tools ...), in the upstream's
            own words and shape.
    """

    provider: str | None = None
    attempts: int | None = None
    request_id: str | None = None
    id: str | None = None
    model: str | None = None
    usage: Usage | None = None
    extra: dict[str, Any] | None = None


class Error(
    msgspec.Struct,
    frozen=True,
    gc=False,
    kw_only=True,
    tag="error",
    tag_field="type",
    repr_omit_defaults=True,
):
    """The answer failed; nothing follows. Text that came before is not the whole answer.

    Attributes:
        message: What happened, in plain words.
        kind: What sort of failure it is: one of ``providers.failures.FailureKind``.
        provider: Who failed last; None where nobody was asked.
        status: The HTTP status that says so.
        code: The upstream's own type or code of the error, where it gave one.
        retry_after: Seconds after which asking again is worth it, where that is known.
    """

    message: str
    kind: str = "broken_stream"
    provider: str | None = None
    status: int | None = None
    code: str | None = None
    retry_after: float | None = None


class Done(
    msgspec.Struct, frozen=True, gc=False, tag="done", tag_field="type", repr_omit_defaults=True
):
    """The answer is complete; nothing follows.

    Attributes:
        finish_reason: Why it ended, in the upstream's own word (``stop``, ``end_turn`` ...).
        usage: Tokens as the upstream counted them; None when it did not say.
    """

    finish_reason: str | None = None
    usage: Usage | None = None


ChatEvent = DeltaText | DeltaThinking | DeltaToolCall | Metadata | Error | Done
"""Any of them."""
