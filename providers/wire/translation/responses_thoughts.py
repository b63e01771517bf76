"""Thoughts as items of the Responses API: what an asker gets of them, and what it sends back.

An item of type ``reasoning`` has a summary and ``encrypted_content``, which only its maker reads.
Thoughts that were made by another API's provider bear that provider's proof there, behind
``FOREIGN_MARK`` and the name of its dialect: so the proof comes back with the conversation.
"""

from collections.abc import Sequence
from typing import Any, Final

from providers.wire.translation.codec import FOREIGN_MARK
from providers.wire.translation.conversation import Thinking

__all__ = ["packed", "reasoning_item", "unpacked"]

_SIGNATURE: Final = "signature"
_REDACTED: Final = "redacted"


def packed(thought: Thinking) -> str:
    """Return the ``encrypted_content`` of a thought: its proof, or a mark that it has none.

    An item without any would be looked up by OpenAI, which does not have it.

    Args:
        thought: The thought.
    """
    if thought.made_by == "responses" and thought.redacted is not None:
        return thought.redacted
    if thought.made_by and thought.redacted is not None:
        return f"{FOREIGN_MARK}{thought.made_by}.{_REDACTED}.{thought.redacted}"
    if thought.made_by and thought.signature is not None:
        return f"{FOREIGN_MARK}{thought.made_by}.{_SIGNATURE}.{thought.signature}"
    return f"{FOREIGN_MARK}thoughts"


def unpacked(text: str, content: str | None, item_id: str | None) -> Thinking:
    """Return the thought that an item of an earlier answer holds.

    Args:
        text: Its summary, or the thoughts themselves.
        content: Its ``encrypted_content``.
        item_id: Its id.
    """
    if content is None or not content.startswith(FOREIGN_MARK):
        return Thinking(
            text, redacted=content, made_by="responses", id=item_id, summary=content is not None
        )
    made_by, _, rest = content[len(FOREIGN_MARK) :].partition(".")
    kind, _, proof = rest.partition(".")
    if kind == _SIGNATURE and proof:
        return Thinking(text, proof, made_by=made_by, id=item_id)
    if kind == _REDACTED and proof:
        return Thinking(text, redacted=proof, made_by=made_by, id=item_id)
    return Thinking(text, id=item_id)


def reasoning_item(item_id: str, texts: Sequence[str], content: str) -> dict[str, Any]:
    """Return an item of type ``reasoning``.

    Args:
        item_id: Its id.
        texts: The thoughts, which are given as its summary.
        content: Its ``encrypted_content``.
    """
    return {
        "id": item_id,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": text} for text in texts],
        "encrypted_content": content,
    }
