"""Counting a prompt's tokens where no provider can: roughly, and marked as such."""

import math

import msgspec

from providers.prices import CHARACTERS_PER_TOKEN, characters_of
from providers.wire import Dialect
from providers.wire.translation.counting import counted_answer
from runtime.doors.answer import REQUEST_ID_HEADERS
from runtime.doors.session import Session

__all__ = ["ESTIMATED", "answer_with_estimate"]

ESTIMATED = (b"x-standby-estimated", b"true")
"""Tells the asker that nobody has counted."""

_JSON = (b"content-type", b"application/json")


_TEXTS = ("messages", "system", "tools", "input", "instructions")
"""The members of a request whose text counts, in either API."""


def answer_with_estimate(
    session: Session, dialect: Dialect, body: bytes, attempts: int = 0
) -> None:
    """Answer a request to count tokens with an estimate.

    Args:
        session: The asker's connection.
        dialect: The asker's dialect.
        body: The request, a JSON object.
        attempts: How many providers were asked to count before.
    """
    members = msgspec.json.decode(body, type=dict[str, object])
    characters = sum(characters_of(members.get(key)) for key in _TEXTS)
    tokens = math.ceil(characters / CHARACTERS_PER_TOKEN)
    headers = [
        _JSON,
        (REQUEST_ID_HEADERS[dialect.family], session.request_id.encode("ascii")),
        (b"x-standby-attempts", b"%d" % attempts),
        ESTIMATED,
    ]
    session.respond(200, counted_answer(dialect.name, tokens), headers)
