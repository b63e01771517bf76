"""The front of the queue: how many requests, and bytes of them, are let in at one time.

A request too many is refused at once, before anything is done for it. Nobody is refused because of
one greedy client: what a client holds may be no more than eight times what it leaves free (dynamic
thresholds for shared buffers: Choudhury and Hahne, 1998). A client alone gets eight ninths of all
places, ten equal ones eight eighty-firsts each, and something is always left for one more.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec
import trio

from providers.fair_queue import ClientKey
from providers.http import BadRequest, Peer
from providers.service_rate import ServiceRate, retry_after

__all__ = ["Admission", "Admitted", "Refused", "Shed"]

_TIMES: Final = 8
"""What a client may hold, in what it leaves free."""

Shed = Literal["front", "client", "bodies"]
"""Why a request was refused: all places are taken, its client holds too many, or too much is held
of requests' bodies."""


class Refused(msgspec.Struct, frozen=True):
    """A request is not let in.

    Attributes:
        status: 503 where there is no place, 429 where its client holds too many.
        message: Why, in plain words.
        retry_after: Seconds after which asking again is worth it.
    """

    status: int
    message: str
    retry_after: float


class Admitted:
    """A client while it has connections: one process, or one address.

    Args:
        admission: Who counts.
        source: What names it.

    Attributes:
        admission: Who counts.
        key: By what it takes turns with others.
        sessions: Its connections.
        in_flight: Its requests that are being answered.
        held: Bytes of its requests' bodies.
    """

    __slots__ = ("admission", "held", "in_flight", "key", "sessions")

    def __init__(self, admission: "Admission", source: str) -> None:
        self.admission = admission
        self.key = ClientKey(source)
        self.sessions = 0
        self.in_flight = 0
        self.held = 0

    def take(self, size: int) -> None:
        """Let some of a request's body in; ``give`` must follow.

        Args:
            size: Bytes.

        Raises:
            BadRequest: There is no room for it; nothing was counted.
        """
        self.admission.hold(self, size)

    def give(self, size: int) -> None:
        """Count some of a body no more.

        Args:
            size: Bytes.
        """
        self.admission.let_go(self, size)


class Admission:
    """Counts what is let in, over all doors.

    Args:
        max_in_flight: Requests being answered at one time.
        max_per_client: The same of one client; None for no bound but its fair share.
        max_held: Bytes of bodies at one time, while they arrive and until they are answered.
            Counted are bodies that do not come in one read.
        tell: Told of every refusal.
        clock: Returns the present time, in seconds.

    Attributes:
        in_flight: Requests that are being answered.
        held: Bytes of bodies.
    """

    __slots__ = (
        "_answered",
        "_clients",
        "_clock",
        "_max_held",
        "_max_in_flight",
        "_max_per_client",
        "_rate",
        "_shed",
        "_tell",
        "held",
        "in_flight",
    )

    def __init__(
        self,
        *,
        max_in_flight: int,
        max_per_client: int | None,
        max_held: int,
        tell: Callable[[Shed], object],
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._clock = clock
        self._max_in_flight = max_in_flight
        self._max_per_client = max_in_flight if max_per_client is None else max_per_client
        self._max_held = max_held
        self._tell = tell
        self._clients: dict[str, Admitted] = {}
        self._rate = ServiceRate()
        self._answered = 0
        self._shed: dict[Shed, int] = {"front": 0, "client": 0, "bodies": 0}
        self.in_flight = 0
        self.held = 0

    def arrive(self, peer: Peer) -> Admitted:
        """Count a connection; return whose it is. ``depart`` must follow.

        Args:
            peer: Who is at its other end. Over a Unix socket that is a process; over TCP an
                address, as the port says nothing of whose it is.
        """
        if peer.address is not None:
            source = peer.address.rpartition(":")[0]
        else:
            source = f"process {peer.pid}"
        client = self._clients.get(source)
        if client is None:
            client = self._clients[source] = Admitted(self, source)
        client.sessions += 1
        return client

    def depart(self, client: Admitted) -> None:
        """Count a connection no more."""
        client.sessions -= 1
        if not client.sessions:
            del self._clients[client.key.source]

    def enter(self, client: Admitted) -> Refused | None:
        """Let one request in; ``leave`` must follow.

        Args:
            client: Whose it is.

        Returns:
            None when it is in; else why not.
        """
        own = client.in_flight
        free = self._max_in_flight - self.in_flight
        if free <= 0:
            why = f"{self.in_flight} requests are being answered, as many as may be at one time"
            return self._refuse("front", 503, why)
        if own >= self._max_per_client:
            why = f"this client has {own} requests in flight, as many as it may"
            return self._refuse("client", 429, why)
        if own and own >= _TIMES * (free - 1):
            why = f"this client has {own} requests in flight and would leave too few for others"
            return self._refuse("client", 429, why)
        self.in_flight += 1
        client.in_flight = own + 1
        return None

    def leave(self, client: Admitted) -> None:
        """Take a request out that is answered, or will not be."""
        self.in_flight -= 1
        client.in_flight -= 1
        self._answered += 1

    def hold(self, client: Admitted, size: int) -> None:
        """Let some of a request's body in; ``let_go`` must follow.

        Args:
            client: Whose it is.
            size: Bytes.

        Raises:
            BadRequest: There is no room for it; nothing was counted.
        """
        free = self._max_held - self.held - size
        if free < 0 or (client.held and client.held + size > _TIMES * free):
            refused = self._refuse(
                "bodies",
                503,
                f"the bodies of requests take {self.held} bytes here; there is no room for "
                f"{size} more of this client",
            )
            raise BadRequest(refused.status, refused.message, retry_after=refused.retry_after)
        self.held += size
        client.held += size

    def let_go(self, client: Admitted, size: int) -> None:
        """Count some of a body no more."""
        self.held -= size
        client.held -= size

    def status(self) -> dict[str, object]:
        """Return what is shown of it."""
        return {
            "in_flight": self.in_flight,
            "max_in_flight": self._max_in_flight,
            "held_bytes": self.held,
            "max_held_bytes": self._max_held,
            "clients": len(self._clients),
            "shed": dict(self._shed),
        }

    def _refuse(self, why: Shed, status: int, message: str) -> Refused:
        self._shed[why] += 1
        self._tell(why)
        rate = self._rate.look(self._clock(), self._answered)
        return Refused(status, message, retry_after(1, rate))
