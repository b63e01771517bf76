"""Every way the simulator can fail, by name.

A fault is written ``name`` or ``name:number``, for instance ``status_429:2`` or
``cut_midstream:3``. It comes from a rule of the settings, from the request header
``x-simulator-fault``, or from the end of the model's name after an exclamation mark
(``sim-1!status_503``). The header comes before the model, the model before the rules; the name
``none`` asks for an ordinary answer whatever the rules say.
"""

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

__all__ = ["FAULTS", "NO_FAULT", "Fault", "FaultKind", "parse_fault", "split_model"]

_MAX_NUMBER = 86_400.0


class FaultKind(msgspec.Struct, frozen=True):
    """What one fault does.

    Attributes:
        does: What happens, as a sentence.
        number: What the number after the colon means; empty where there is none.
        default: The number where none is given.
    """

    does: str
    number: str = ""
    default: float | None = None


class Fault(msgspec.Struct, frozen=True):
    """One fault to commit.

    Attributes:
        name: Its name in ``FAULTS``.
        number: Its number, given or by default; None where the fault has none.
    """

    name: str
    number: float | None = None

    @property
    def status(self) -> int | None:
        """The HTTP status of a ``status_NNN`` fault; None for every other."""
        return int(self.name[7:]) if self.name.startswith("status_") else None


_RETRY = "seconds of the Retry-After header"
_AFTER = "tokens that are sent before; half of the answer by default"

FAULTS: Final[Mapping[str, FaultKind]] = MappingProxyType(
    {
        "none": FaultKind("Answers as usual, whatever the rules say."),
        "status_400": FaultKind("Refuses the request as malformed."),
        "status_401": FaultKind("Refuses the key."),
        "status_402": FaultKind("Is out of credit."),
        "status_403": FaultKind("Denies permission."),
        "status_404": FaultKind("Does not know the model."),
        "status_413": FaultKind("Finds the request too large."),
        "status_422": FaultKind("Cannot process the request."),
        "status_429": FaultKind("Limits the rate.", _RETRY),
        "status_500": FaultKind("Fails inside."),
        "status_502": FaultKind("Fails behind."),
        "status_503": FaultKind("Is unavailable.", _RETRY),
        "status_504": FaultKind("Times out behind."),
        "status_529": FaultKind("Is overloaded.", _RETRY),
        "insufficient_quota": FaultKind("Is out of credit in OpenAI's way: 429 that never passes."),
        "error_body_200": FaultKind("Answers 200 with an error as JSON."),
        "html_200": FaultKind("Answers 200 with a web page."),
        "empty_completion": FaultKind("Answers 200 with nothing in it and no finish reason."),
        "wrong_content_type": FaultKind("Sends a good answer as text/plain."),
        "non_json": FaultKind("Answers 200 with a body that is not JSON."),
        "content_filter": FaultKind("Refuses by a content filter: in the answer, with 200."),
        "connect_reset": FaultKind("Resets the connection before a byte of the answer."),
        "hang": FaultKind("Never answers."),
        "truncated_json": FaultKind("Announces more bytes than it sends, then closes."),
        "slow_first_token": FaultKind("Is late with the first token.", "seconds", 30.0),
        "stall_midstream": FaultKind("Falls silent in the middle and stays so.", _AFTER),
        "cut_midstream": FaultKind("Closes the connection in the middle.", _AFTER),
        "reset_midstream": FaultKind("Resets the connection in the middle.", _AFTER),
        "malformed_event": FaultKind(
            "Sends half of an event as a whole one, in the middle.", _AFTER
        ),
        "error_midstream": FaultKind("Sends an error event in the middle.", _AFTER),
        "error_first_event": FaultKind("Answers 200; the first event is an error."),
        "no_finish_marker": FaultKind("Ends a stream in order, but without its finish marker."),
        "no_done": FaultKind("Ends a stream in order with all but its very last event."),
    }
)
"""The faults. What happens in the middle of a stream happens in the middle of a plain answer's body
where that makes sense; otherwise a plain request gets ``error_body_200`` for an error event,
``non_json`` for a malformed event, and an ordinary answer where only the end marker is missing.
Embeddings and token counts are plain answers in all this, but a content filter refuses them with
status 400."""

NO_FAULT: Final = Fault("none")


def parse_fault(text: str) -> Fault:
    """Read a fault as written: ``name`` or ``name:number``.

    Raises:
        ValueError: There is no such fault, or the number is wrong; says what is expected.
    """
    name, colon, number_text = text.strip().partition(":")
    kind = FAULTS.get(name)
    if kind is None:
        near = difflib.get_close_matches(name, FAULTS, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(FAULTS)}"
        raise ValueError(f"there is no fault {name!r}{hint}")
    if not colon:
        return Fault(name, kind.default)
    if not kind.number:
        raise ValueError(f"the fault {name} takes no number, but {number_text!r} is given")
    try:
        number = float(number_text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= _MAX_NUMBER:
        raise ValueError(
            f"the fault {name} takes a number from 0 to {_MAX_NUMBER:g} ({kind.number}), "
            f"not {number_text!r}"
        )
    return Fault(name, number)


def split_model(model: str) -> tuple[str, str]:
    """Split ``model!fault`` into the model and the fault's text, empty without one."""
    name, _, fault = model.partition("!")
    return name, fault
