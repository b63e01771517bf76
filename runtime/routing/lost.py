"""What a connection that was lost says: of the upstream, or of the provider's own task."""

from providers.failures import Failure
from providers.http import ConnectionLost
from runtime.routing.exchange import Exchange
from supervision import ActorDown

__all__ = ["exchange_lost", "provider_down", "provider_ended"]


def provider_ended(lost: ConnectionLost) -> bool:
    """Tell whether a connection was lost because the provider's task ended.

    Args:
        lost: How it was lost.
    """
    return isinstance(lost.reason, ActorDown)


def provider_down(task: Exchange, message: str, down: ActorDown) -> Failure:
    """Say that the provider's task ended; and whether it crashed, which this request may have done.

    One that was killed did not.

    Args:
        task: The exchange that it had.
        message: How to say it.
        down: How the task ended.
    """
    crashed = isinstance(down.reason, BaseException)
    return Failure("provider_down", task.provider.name, message, crashed=crashed)


def exchange_lost(task: Exchange, lost: ConnectionLost) -> Failure:
    """Tell a provider task that ended from an upstream that hung up.

    Args:
        task: The exchange that it had.
        lost: How its connection was lost.
    """
    if provider_ended(lost):
        ended = "its task ended in the middle of the answer and is being restarted"
        return provider_down(task, ended, task.actor.down())
    return Failure("reset", task.provider.name, str(lost))
