"""The verb `breaker`: holds a provider's circuit breaker open or closed by hand, or lets it go."""

from __future__ import annotations

import json

from runtime.cli import exits
from runtime.cli.client import Daemon, quote
from runtime.cli.terminal import complain
from runtime.view.wording import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["COMMANDS", "breaker", "command"]

COMMANDS = {
    "open": "no request goes there",
    "close": "every request goes there, whatever fails",
    "disable": "every request goes there, and nothing is counted",
    "reset": "its failures are forgotten, and it opens and closes by itself again",
}
"""What a breaker can be told, and what that means."""


def command(text: str) -> str:
    """Return a command as it was typed; argparse tells why another word is none.

    Args:
        text: What was typed.
    """
    if text in COMMANDS:
        return text
    # Imported for a mistake only, like argparse, which is there already.
    import argparse  # noqa: PLC0415 - see above
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    close = get_close_matches(text, COMMANDS, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    known = ", ".join(COMMANDS)
    raise argparse.ArgumentTypeError(f"a breaker knows {known}, not {text!r}{hint}")


def breaker(options: argparse.Namespace, socket: str) -> int:
    """Tell a breaker what to do, and say how it stands now."""
    provider: str = options.provider
    told: str = options.command
    with Daemon(socket, timeout=options.timeout) as daemon:
        answer = daemon.request("POST", f"/control/breakers/{quote(provider)}/{told}")
        if answer.status != 200:
            complain(answer.error_message())
            return exits.BAD
        said = answer.json()
    if options.json:
        print(json.dumps(said, ensure_ascii=False, sort_keys=True))
        return exits.OK
    stands = said.get("breaker") or {}
    before = clean(str(said.get("before") or "?")).replace("_", "-")
    after = clean(str(stands.get("state") or "?")).replace("_", "-")
    was = "" if before == after else f" (was {before})"
    print(f"the breaker of {clean(provider)} is {after}{was}: {COMMANDS[told]}")
    if told != "reset":
        print(f"until: standby breaker {clean(provider)} reset")
    if stands.get("set_aside"):
        print(f"{clean(provider)} is set aside all the same: its account was refused")
    return exits.OK
