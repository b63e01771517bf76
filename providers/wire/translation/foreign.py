"""Taking out of a conversation what another provider left in it and this one would refuse.

A conversation that was answered by providers of several APIs holds thoughts of each. A provider
checks that thoughts are its own, and those that came by way of translation bear a mark
(``FOREIGN_MARK``), by which they are found and left out. Nothing else of the request changes but
white space.
"""

from typing import Any, Final

import msgspec

from providers.wire.translation.codec import FOREIGN_MARK

__all__ = ["MARK", "without_foreign_thoughts", "without_reasoning_members"]

MARK: Final = FOREIGN_MARK.encode("ascii")
"""What shows in a request's bytes that there is something to take out."""

_REASONING = ("reasoning_content", "reasoning_details", "reasoning")
"""Members of assistant messages in which servers other than OpenAI's own tell thoughts."""

_PROOFS = ("signature", "data", "encrypted_content")
"""Where thoughts of each API bear their proof."""

_decoder = msgspec.json.Decoder(dict[str, Any])


def without_foreign_thoughts(body: bytes) -> bytes:
    """Return a request without the thoughts that translation had marked as foreign.

    A message in which nothing else stood is left out whole.

    Args:
        body: A request in any dialect, a JSON object.
    """
    members = _decoder.decode(body)
    messages = members.get("messages")
    if isinstance(messages, list):
        members["messages"] = [kept for kept in map(_message_without, messages) if kept is not None]
    items = members.get("input")
    if isinstance(items, list):
        members["input"] = [item for item in items if not _is_foreign(item)]
    return msgspec.json.encode(members)


def without_reasoning_members(body: bytes) -> bytes:
    """Return a chat completion request whose assistant messages tell no thoughts.

    OpenAI's own API has no place for them in a request.

    Args:
        body: The request, a JSON object.
    """
    members = _decoder.decode(body)
    messages = members.get("messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and message.get("role") == "assistant":
            for name in _REASONING:
                message.pop(name, None)
    return msgspec.json.encode(members)


def _message_without(message: object) -> object | None:
    """Return a message without foreign thoughts; None when nothing is left of it."""
    if not isinstance(message, dict) or not isinstance(message.get("content"), list):
        return message
    content = message["content"]
    kept = [part for part in content if not _is_foreign(part)]
    if len(kept) == len(content):
        return message
    return {**message, "content": kept} if kept else None


def _is_foreign(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    return any(
        isinstance(proof := part.get(name), str) and proof.startswith(FOREIGN_MARK)
        for name in _PROOFS
    )
