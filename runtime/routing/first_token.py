"""How soon the first token of each provider's model is to be expected: a peak-sensitive average.

After Finagle's Peak EWMA (``PeakEwma.scala``): a sample above what was expected is believed at
once, a better one is averaged in, each sample weighing ``1 - exp(-dt / 60 s)`` for the time ``dt``
since the one before.

    average = average * w + sample * (1 - w),  w = exp(-dt / 60 s)
    expected = average + excess * exp(-(now - peak) / 10 s)

``excess`` is what the last peak had above the average. Finagle lets the whole fade to nothing,
which suits calls of milliseconds that come by the thousand. Where a request comes once a minute
that would forget everything between two of them, and whoever was asked least recently would always
look fastest; here a peak fades to the average, and the average stays.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from runtime.outcome import AttemptKind
from runtime.routing.learned_times import LearnedTimes

__all__ = ["FirstToken", "FirstTokens"]

_AVERAGED_OVER: Final = 60.0
_PEAK_FADES: Final = 10.0
_FORGOTTEN: Final = 8 * _PEAK_FADES
"""Seconds after which less than a thousandth of a peak is left."""

_CHANCES: Final = 3
"""Attempts without a measurement before a member that was never measured no longer goes first."""

_WAITED: Final[frozenset[AttemptKind]] = frozenset(
    {"first_token_timeout", "timeout", "stall", "deadline", "cancelled"}
)
"""Ends of an attempt without a token of which its length says: at least so long."""

_TIMED_OUT: Final[frozenset[AttemptKind]] = frozenset({"first_token_timeout", "timeout", "stall"})
"""Those of them at which the provider had all its time."""


class _Peak:
    """One such average."""

    __slots__ = ("at", "average", "excess", "peaked")

    def __init__(self) -> None:
        self.average: float | None = None
        self.excess = 0.0
        self.peaked = 0.0
        self.at = -math.inf

    def expected(self, now: float) -> float | None:
        average = self.average
        if average is None or not self.excess:
            return average
        age = now - self.peaked
        if age >= _FORGOTTEN:
            return average
        return average + self.excess * math.exp(-max(0.0, age) / _PEAK_FADES)

    def measured(self, seconds: float, now: float) -> None:
        before = self.expected(now)
        if before is None or self.average is None:
            self.average = seconds
        else:
            kept = math.exp(-max(0.0, now - self.at) / _AVERAGED_OVER)
            self.average = self.average * kept + seconds * (1 - kept)
            if seconds > before:
                self._peak(seconds, now)
        self.at = now

    def waited(self, seconds: float, now: float) -> None:
        before = self.expected(now)
        if before is None:
            self.average = seconds
            self.at = now
        elif seconds > before:
            self._peak(seconds, now)

    def _peak(self, seconds: float, now: float) -> None:
        assert self.average is not None
        self.excess = max(0.0, seconds - self.average)
        self.peaked = now


class FirstToken:
    """What is known of the first token of one provider's model.

    Streamed answers measure it. A plain answer comes whole, so its time is another thing; it
    stands in for as long as no answer was streamed.

    Written by the failover manager, and by who had a success (``FailoverBoard.counts``); read by
    anyone.
    """

    __slots__ = ("_learned", "_plain", "_streamed", "_unmeasured")

    def __init__(self) -> None:
        self._learned: tuple[LearnedTimes, LearnedTimes] | None = None
        self._streamed = _Peak()
        self._plain = _Peak()
        self._unmeasured = 0

    def __repr__(self) -> str:
        return f"<FirstToken {self._streamed.average} streamed, {self._plain.average} plain>"

    @property
    def measured_at(self) -> float:
        """When it was last measured; minus infinity when never."""
        return max(self._streamed.at, self._plain.at)

    def expected(self, now: float) -> float | None:
        """Return the seconds to expect; None when nothing was ever measured.

        Args:
            now: The present time.
        """
        streamed = self._streamed.expected(now)
        return self._plain.expected(now) if streamed is None else streamed

    def learn(self) -> None:
        """Keep all times from now on, not only what is to be expected: somebody asks ``within``."""
        if self._learned is None:
            self._learned = LearnedTimes(), LearnedTimes()

    def within(self, share: float, now: float, *, stream: bool) -> float | None:
        """Return the seconds that a share of the recent answers stayed within.

        Args:
            share: From 0 to 1.
            now: The present time.
            stream: Whether of streamed answers to their first token, or of whole plain ones.

        Returns:
            Seconds; None while too few are known.
        """
        return None if self._learned is None else self._learned[stream].within(share, now)

    def cost(self, now: float, in_flight: int) -> float:
        """Return the seconds to expect, as what members are compared by.

        One that was never measured comes before all others while nothing is under way there, and
        after them while something is (Finagle's penalty): so one request at a time measures it. It
        has three chances; a provider that never sends a token must not be asked first for ever.

        Args:
            now: The present time.
            in_flight: Attempts under way there.
        """
        known = self._streamed
        if known.average is None:
            known = self._plain
            if known.average is None:
                return 0.0 if not in_flight and self._unmeasured < _CHANCES else math.inf
        if known.excess:
            age = now - known.peaked
            if age < _FORGOTTEN:
                return known.average + known.excess * math.exp(-age / _PEAK_FADES)
        return known.average

    def count(
        self,
        kind: AttemptKind,
        first_token: float | None,
        duration: float,
        now: float,
        *,
        stream: bool,
        late: bool = False,
    ) -> None:
        """Take in one attempt.

        Args:
            kind: How it ended.
            first_token: Seconds to its first token, if one came.
            duration: Seconds it took.
            now: When it ended.
            stream: Whether a streamed answer was asked for.
            late: Whether it was cancelled because it was late and another one answered.
        """
        if self._learned is not None:
            # One that was given up counts as long as it was waited for. Without those, the late
            # ones would never be seen, the rest would look ever faster and be hedged ever sooner.
            took = duration if late or kind in _TIMED_OUT else None
            seconds = took if first_token is None else first_token
            if seconds is not None:
                self._learned[stream].add(seconds, now)
        which = self._streamed if stream else self._plain
        if first_token is not None:
            which.measured(first_token, now)
        elif kind in _WAITED:
            which.waited(duration, now)
        else:
            self._unmeasured += 1


class FirstTokens(Mapping[tuple[str, str | None], FirstToken]):
    """What is known of all members' first tokens, by provider and model.

    Rows are made for the members of groups only, so that no asker can make it grow.
    """

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str | None], FirstToken] = {}

    def __getitem__(self, key: tuple[str, str | None]) -> FirstToken:
        return self._rows[key]

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, provider: str, model: str | None) -> FirstToken:
        """Return the row of a member, made empty if there is none yet.

        Args:
            provider: The member's provider.
            model: The model it is asked for; None when that is the asker's.
        """
        row = self._rows.get((provider, model))
        if row is None:
            row = self._rows[provider, model] = FirstToken()
        return row

    def known(self, provider: str, model: str | None) -> FirstToken | None:
        """Return the row that an attempt belongs to; None when it is no member's.

        Args:
            provider: The provider that was asked.
            model: The model it was asked for.
        """
        return self._rows.get((provider, model)) or self._rows.get((provider, None))
