"""Counting a prompt's tokens where no provider can: roughly, and marked as such."""

import math

import msgspec

from providers.prices import CHARACTERS_PER_TOKEN, characters_of
from runtime.doors.session import Session

__all__ = ["ESTIMATED", "answer_with_estimate"]

ESTIMATED = (b"x-standby-estimated", b"true")
"""Tells the asker that nobody has counted."""

_JSON = (b"content-type", b"application/json")


def answer_with_estimate(session: Session, body: bytes, attempts: int = 0) -> None:
    """Answer a request to count tokens with an estimate.

    Args:
        session: The asker's connection.
        body: The request: a JSON object, in Anthropic's dialect.
        attempts: How many providers were asked to count before.
    """
    members = msgspec.json.decode(body, type=dict[str, object])
    characters = sum(characters_of(members.get(key)) for key in ("messages", "system", "tools"))
    counted = {"input_tokens": math.ceil(characters / CHARACTERS_PER_TOKEN)}
    headers = [
        _JSON,
        (b"request-id", session.request_id.encode("ascii")),
        (b"x-standby-attempts", b"%d" % attempts),
        ESTIMATED,
    ]
    session.respond(200, msgspec.json.encode(counted), headers)
