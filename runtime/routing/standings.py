"""How the members of failover groups have done: counts that outlive the manager's crashes."""

import msgspec

from runtime.outcome import AttemptKind
from runtime.routing.ordering import Place, Plan
from runtime.routing.verdicts import SUFFERED

__all__ = ["GroupStanding", "MemberStanding", "Standings"]


class MemberStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's record within a group.

    Attributes:
        attempts: Exchanges that have ended.
        succeeded: Those that went well.
        failed: Those the provider failed at; refusals of a request for what it says are none.
        took_over: Those that went well after another attempt of the same request had failed.
        last_failure: The kind of the latest failure; None when there was none.
    """

    attempts: int = 0
    succeeded: int = 0
    failed: int = 0
    took_over: int = 0
    last_failure: AttemptKind | None = None


class GroupStanding(msgspec.Struct, frozen=True, kw_only=True):
    """One group's record.

    Attributes:
        strategy: How the order is chosen.
        members: The record of each provider, as listed.
        failovers: Requests that were answered after an attempt had failed, be it by another
            provider or by the same one.
        order: The members, first choice first, and why.
        panic: Whether no member would take a request, of all or of those of one dialect.
        panic_probes: Requests that were let through although every member was kept back.
    """

    strategy: str
    members: dict[str, MemberStanding]
    failovers: int
    order: list[Place]
    panic: bool
    panic_probes: int


class _Tally(msgspec.Struct, gc=False):
    attempts: int = 0
    succeeded: int = 0
    failed: int = 0
    took_over: int = 0
    last_failure: AttemptKind | None = None


class Standings:
    """Counts by group and provider, written through ``FailoverBoard``, read by anyone."""

    __slots__ = ("_tallies",)

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def count(self, group: str, provider: str, kind: AttemptKind, number: int) -> None:
        """Count one attempt.

        Args:
            group: The group its request went to.
            provider: The provider that was asked.
            kind: How it ended.
            number: The number of the attempt within its request, from 1.
        """
        key = (group, provider)
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        tally.attempts += 1
        if kind == "ok":
            tally.succeeded += 1
            if number > 1:
                tally.took_over += 1
        elif kind in SUFFERED:
            tally.failed += 1
            tally.last_failure = kind

    def forget(self, group: str) -> None:
        """Drop the counts of a group.

        Args:
            group: The group.
        """
        for key in [key for key in self._tallies if key[0] == group]:
            del self._tallies[key]

    def of(self, plan: Plan, now: float) -> GroupStanding:
        """Return a picture of one group.

        Args:
            plan: Its plan.
            now: The present time.
        """
        group = plan.group.name
        members = {
            provider: _picture(self._tallies.get((group, provider)))
            for provider in dict.fromkeys(each.provider for each in plan.candidates)
        }
        return GroupStanding(
            strategy=plan.strategy,
            members=members,
            failovers=sum(member.took_over for member in members.values()),
            order=plan.standing(now),
            panic=plan.panics(now),
            panic_probes=plan.cursors.probes,
        )


def _picture(tally: _Tally | None) -> MemberStanding:
    if tally is None:
        return MemberStanding()
    return MemberStanding(
        attempts=tally.attempts,
        succeeded=tally.succeeded,
        failed=tally.failed,
        took_over=tally.took_over,
        last_failure=tally.last_failure,
    )
