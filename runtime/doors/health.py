"""The routes of the daemon's health, in JSON."""

import msgspec
import trio

from providers.http import Request
from runtime.doors.session import Session
from runtime.health import HealthReport, Status
from runtime.services import Services

__all__ = ["HealthRoutes"]


class HealthRoutes:
    """Handlers of ``/health`` and what is below it.

    Args:
        services: The running daemon.
    """

    def __init__(self, services: Services) -> None:
        self._report = HealthReport(services)

    async def summary(self, session: Session, request: Request) -> None:
        """Answer in a few words."""
        del request
        now = trio.current_time()
        _answer(session, _http_status(self._report.status(now)), self._report.summary(now))

    async def detailed(self, session: Session, request: Request) -> None:
        """Answer with all there is to know."""
        del request
        now = trio.current_time()
        _answer(session, _http_status(self._report.status(now)), self._report.detailed(now))

    async def providers(self, session: Session, request: Request) -> None:
        """Answer with the providers in detail."""
        del request
        _answer(session, 200, self._report.providers(trio.current_time()))

    async def metrics(self, session: Session, request: Request) -> None:
        """Answer with all counts."""
        del request
        _answer(session, 200, self._report.metrics)


def _http_status(status: Status) -> int:
    """Say 503 when nobody could answer, so that a check that looks no further sees it."""
    return 503 if status == "unhealthy" else 200


def _answer(session: Session, status: int, body: object) -> None:
    session.respond(status, msgspec.json.encode(body))
