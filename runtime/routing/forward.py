"""Forwarding: from a request and its candidates to an answer or an honest no."""

from runtime.routing.answer import Answer, AskerGone
from runtime.routing.gave_up import GaveUp
from runtime.routing.job import Job
from runtime.routing.means import Means
from runtime.routing.route import Route
from runtime.routing.run import Run
from runtime.routing.verdicts import status_of

__all__ = ["Forwarder"]


class Forwarder:
    """Tries candidates until one answers; runs in the asker's task and has none of its own.

    Args:
        means: What requests are answered with.
    """

    def __init__(self, means: Means) -> None:
        self._means = means

    async def forward(self, job: Job, route: Route, answer: Answer) -> None:
        """Get one request answered.

        Args:
            job: The request.
            route: Its candidates.
            answer: Where the answer goes.

        Raises:
            GaveUp: When nobody answered and nothing has reached the asker.
        """
        run = Run(self._means, job, route, answer)
        try:
            await run.go()
        except GaveUp as gave_up:
            run.status = status_of(gave_up.last)
            raise
        except AskerGone:
            raise
        except Exception:
            run.status = 500
            raise
        finally:
            run.report()
