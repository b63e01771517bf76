"""Requests whose provider does not take the asker's dialect."""

import time

import msgspec

from providers.failures import Failure, FailureKind
from providers.interface import ForwardRequest, ProviderInterface
from providers.wire import DIALECTS, Dialect, WireError
from providers.wire.translation.codec import Target
from providers.wire.translation.codecs import codec_of, front_codec_of
from providers.wire.translation.counting import Counting
from providers.wire.translation.translation import Translation
from runtime.routing.answer import Answer
from runtime.routing.job import Job
from runtime.routing.translated import TranslatedAnswer
from runtime.routing.verdicts import REFUSALS

__all__ = ["Crossing", "cross", "uncounted"]

_API_HEADERS = (b"anthropic-", b"openai-")
"""How the headers begin that mean something in one API only."""

_NOT_COUNTED: frozenset[FailureKind] = REFUSALS | {"account", "rate_limited"}
"""What says of a request to count no more than that it is not answered here."""

_NOT_IMPLEMENTED = 501
"""The one server error that says so, too."""


class Crossing(msgspec.Struct, frozen=True):
    """A request on its way into another dialect, and the way back of its answer.

    Attributes:
        request: The request as the provider is to get it.
        translation: What translates the answer.
        asker: The asker's dialect.
        provider: The provider's.
    """

    request: ForwardRequest
    translation: Translation | Counting
    asker: Dialect
    provider: Dialect

    @property
    def dropped(self) -> int:
        """How many fields have not been carried over, of the request and so far of the answer."""
        return len(self.translation.dropped)

    def back(self, answer: Answer) -> TranslatedAnswer:
        """Return where the provider's answer goes.

        Args:
            answer: Where the translated one goes.
        """
        return TranslatedAnswer(answer, self.translation, self.asker, self.provider)


def cross(job: Job, provider: ProviderInterface, model: str | None) -> Crossing:
    """Put a request into a provider's dialect.

    Args:
        job: The request; the provider does not take its dialect as it is.
        provider: The provider.
        model: The model to ask it for; None for the one the asker named.

    Raises:
        Failure: ``untranslatable``: it cannot be put so, or not without leaving something out
            where the asker or its group wants none of that; says what.
    """
    request = job.request
    back = provider.dialect
    target = Target(
        model=model or request.model, version=provider.api_version, official=provider.official
    )
    translation: Translation | Counting
    try:
        if request.operation == "count_tokens":
            back = _counter(provider)
            translation = Counting(job.dialect, back.name, request.body, target)
        else:
            translation = Translation(
                front_codec_of(job.dialect),
                codec_of(back.name),
                request.body,
                target,
                answer_id="".join(filter(str.isalnum, request.request_id)),
                created=int(time.time()),
            )
    except WireError as error:
        raise _untranslatable(provider, error.message, error.param) from error
    if job.strict_translation and translation.dropped:
        first = next(iter(translation.dropped))
        names = ", ".join(translation.dropped)
        why = f"{names}: its API ({back.name}) has no counterpart, and translation is strict"
        raise _untranslatable(provider, why, first)
    asked = job.request.headers
    headers = [pair for pair in asked if not pair[0].startswith(_API_HEADERS)]
    own = translation.headers
    forward = ForwardRequest(
        headers=[*headers, *own] if own else headers,
        derived={} if own else request.derived,
        body=translation.body,
        model=target.model,
        stream=request.stream,
        request_id=request.request_id,
        operation=request.operation,
        dialect=back.name,
    )
    return Crossing(forward, translation, DIALECTS[job.dialect], back)


def uncounted(failure: Failure) -> Failure | None:
    """Return a refusal to count tokens for what it is to a request that was translated for it.

    It says nothing of the request, which the asker's own API might take, nor of the account: the
    counting has permissions and limits of its own.

    Args:
        failure: What became of the request to count.

    Returns:
        The failure after which somebody else is asked; None where it is no refusal.
    """
    if failure.kind not in _NOT_COUNTED and failure.status != _NOT_IMPLEMENTED:
        return None
    return Failure("untranslatable", failure.provider, failure.message, status=failure.status)


def _counter(provider: ProviderInterface) -> Dialect:
    """Return the dialect in which a provider counts tokens; routes lead only to those who do."""
    return next(
        dialect for dialect in provider.spoken.values() if "count_tokens" in dialect.operations
    )


def _untranslatable(provider: ProviderInterface, why: str, param: str | None) -> Failure:
    return Failure("untranslatable", provider.name, why, status=400, param=param)
