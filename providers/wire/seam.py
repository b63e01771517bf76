"""Where the text of one provider goes on in that of another: nothing twice.

A provider that is asked to go on may begin by repeating the end of what it was shown. Its first
characters are held back as long as they may be such a repetition, and are dropped when they are
one: when they repeat at least ``MIN_OVERLAP`` characters up to the very end of what was shown.
Shorter repetitions are taken for chance.
"""

__all__ = ["MIN_OVERLAP", "Seam"]

MIN_OVERLAP = 16
"""Characters that must be repeated before it is taken for a repetition."""


class Seam:
    """Takes the continuation's text as it comes, gives what is to be sent of it.

    White space at the end of what was sent is not shown to the provider that goes on, as some
    refuse it; where its text begins with the same white space, that is not sent again.

    Args:
        sent: The text that has been sent.

    Attributes:
        told: What the provider that goes on is shown of it.
    """

    __slots__ = ("_held", "_open", "_overlap", "_space", "_starts", "told")

    def __init__(self, sent: str) -> None:
        self.told = sent.rstrip()
        self._space = sent[len(self.told) :]
        self._held = ""
        self._starts: list[int] | None = None
        self._overlap = 0
        self._open = bool(sent)

    def feed(self, text: str) -> str:
        """Take the next text; return what can be sent by now.

        Args:
            text: The next piece of the continuation.
        """
        if not self._open:
            return text
        if not text:
            return ""
        self._held += text
        return "" if self._undecided() else self.flush()

    def flush(self) -> str:
        """Decide by what there is; return what is still to be sent."""
        self._open = False
        rest = self._held[self._overlap :]
        self._held = ""
        same = 0
        while same < min(len(rest), len(self._space)) and rest[same] == self._space[same]:
            same += 1
        return rest[same:]

    def _undecided(self) -> bool:
        """Tell whether more text could make more of it a repetition."""
        told, held = self.told, self._held
        if self._starts is None:
            self._starts = []
            at = told.find(held[0])
            while 0 <= at <= len(told) - MIN_OVERLAP:
                self._starts.append(at)
                at = told.find(held[0], at + 1)
        going_on = []
        for start in self._starts:
            rest = len(told) - start
            if len(held) < rest:
                if told.startswith(held, start):
                    going_on.append(start)
            elif told.startswith(held[:rest], start):
                self._overlap = max(self._overlap, rest)
        self._starts = going_on
        if going_on:
            return True
        # The white space that was kept back may come in pieces, too.
        rest_of_held = held[self._overlap :]
        return len(rest_of_held) < len(self._space) and self._space.startswith(rest_of_held)
