"""The rest of each provider's API, below its name: ``/openai-main/v1/files``.

Such a request is not understood, so that little can be done for it: it goes to that provider and no
other, once, through its actor and past its breaker, and comes back as it is. What it shares with
every other request are the provider's key, connections, limits and times, and that it is counted.
"""

from collections.abc import Iterable, Mapping, Sequence

import trio

from providers.further_paths import PathRefused, joined
from providers.http import Request
from providers.interface import ForwardRequest, ProviderInterface
from providers.wire import DIALECTS, Dialect
from runtime.doors.refusals import UNASKED, refuse
from runtime.doors.session import Handler, Session
from runtime.doors.wishes import Asked, WishError, asked
from runtime.routing.gave_up import GaveUp
from runtime.routing.group import Candidate
from runtime.routing.job import Job
from runtime.routing.limits import whole_time
from runtime.routing.route import Route
from runtime.services import Services

__all__ = ["METHODS", "PassThrough"]

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
"""What is passed on. ``TRACE`` is not: its answer would show the provider's key."""


class PassThrough:
    """Hands requests below a provider's name to that provider.

    Args:
        services: The running daemon.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._methods: Mapping[str, Handler] = dict.fromkeys(METHODS, self.answer)

    def find(self, path: str) -> Mapping[str, Handler] | None:
        """Return the methods of a path below a provider's name; None for every other path."""
        return None if self._named(path) is None else self._methods

    def dialect_at(self, path: str) -> Dialect | None:
        """Return the dialect of the provider that a path names; None where it names none."""
        name = self._named(path)
        return None if name is None else DIALECTS[self._services.members[name].dialect]

    def paths(self) -> Iterable[str]:
        """Return what stands for all paths below each provider's name."""
        services = self._services
        return [
            f"/{name}/..." for name in services.members if services.providers[name].pass_through
        ]

    def _named(self, path: str) -> str | None:
        name, slash, _ = path[1:].partition("/")
        return name if slash and name in self._services.members else None

    async def answer(self, session: Session, request: Request) -> None:
        """Pass one request on, and its answer back.

        Args:
            session: The asker's connection.
            request: The request; its path begins with a provider's name.
        """
        services = self._services
        now = trio.current_time()
        name = self._named(request.path)
        if name is None:  # it was there when the route was found
            session.refuse(DIALECTS["openai"], 404, f"nothing is served at {request.path}")
            return
        member = services.members[name]
        dialect = DIALECTS[member.dialect]
        if not services.providers[name].pass_through:
            message = f"{name} takes no requests by its own paths: its pass_through is false"
            session.refuse(dialect, 404, message, headers=[UNASKED])
            return
        interface = member.interface
        if interface is None:
            message = f"{name} is not configured: {member.missing}"
            session.refuse(dialect, 503, message, code="not_configured", headers=[UNASKED])
            return
        try:
            target = _target(request, interface)
            wanted = _wanted(request, name)
        except PathRefused as refused:
            session.refuse(dialect, 400, f"{refused}: {request.path}", headers=[UNASKED])
            return
        except WishError as error:
            session.refuse(dialect, 400, str(error), param=error.header, headers=[UNASKED])
            return
        patience, limit = whole_time(
            services.config.timeouts.request, None, None, wanted.whole, wanted.whole_by
        )
        # What an SDK waits for is the next bytes, however many may follow them.
        answer_in, answer_limit = patience, limit
        if wanted.answer < patience:
            answer_in, answer_limit = wanted.answer, wanted.answer_by
        job = Job(
            request=ForwardRequest(
                headers=request.headers,
                body=request.body,
                model="",
                stream=False,
                request_id=session.request_id,
                operation="passthrough",
                dialect=dialect.name,
                target=target,
                method=request.method,
            ),
            dialect=dialect.name,
            group=None,
            deadline=now + patience,
            answer_by=now + answer_in,
            started=now,
            deadline_by=limit,
            answer_by_whom=answer_limit,
            client=session.client(request),
        )
        answer = session.answer_untouched(request, dialect, job.deadline)
        try:
            await services.forwarder.forward(job, _only(name), answer)
        except GaveUp as gave_up:
            refuse(session, dialect, gave_up, hedged=False, retried=False)
        if answer.ends_connection:
            session.close_after_answer()


def _target(request: Request, interface: ProviderInterface) -> str:
    """Return what stands behind the provider's name, and has proved to stay behind its base URL."""
    if not request.target.startswith("/"):
        raise PathRefused("the target must be a path, not a whole URL")
    target = request.target[request.target.index("/", 1) :]
    joined(interface.target.base_path, target)
    return target


def _wanted(request: Request, name: str) -> Asked:
    """Return what the headers say; what would lead elsewhere than the path is an error."""
    wanted = asked(request)
    wishes = wanted.wishes
    if wishes is not None:
        if wishes.group is not None:
            raise WishError("x-standby-group", f"the path asks {name} itself, and no group")
        if wishes.provider not in {None, name}:
            raise WishError("x-standby-provider", f"the path asks {name}, not {wishes.provider}")
    return wanted


def _only(provider: str) -> Route:
    """Return the way to one provider, to be gone once."""
    candidates = [Candidate(provider)]

    def order(_now: float) -> Sequence[Candidate]:
        return candidates

    return Route(group=None, order=order, max_attempts=1, once=True)
