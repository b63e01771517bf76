"""What an upstream's status, error code and words mean, in the terms that routing decides by."""

import re

from providers.failures import FailureKind

__all__ = ["classify_status"]

_OUT_OF_CREDIT = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
    "exceeded_current_quota",
)
"""How a spent balance or an account without billing is told, often with a 429 although no patience
ends it; the last one is Moonshot's."""

_TOO_LONG_CODES = ("context_length_exceeded", "request_too_large")
_TOO_LONG_WORDS = (
    "prompt is too long",
    "exceed context limit",
    "maximum context length",
    "context_length_exceeded",
)
"""How a context window that is too small is told in a message: by Anthropic, which has no code for
it (its prompt, and its prompt together with ``max_tokens``), and by servers of OpenAI's API."""

_ACCOUNT_WORDS = ("credit balance is too low", "please pass a valid api key")
"""How Anthropic tells a spent balance, and Gemini a key that it does not know, with a 400. No less
than this will do: servers that repeat what they refuse would set themselves aside for a request
that asks about a credit balance."""

_FILTER_CODES = ("content_filter", "content_policy")
_FLAGGED = re.compile(r"\bflagged\b|\brequires moderation\b", re.IGNORECASE)
"""How OpenRouter says with a 403 that a model's moderation refuses the request, not the key."""

_ABOUT_A_MODEL = re.compile(r"\bmodels?\b", re.IGNORECASE)
"""How a 403 says that a key is good, but not for this model."""


def classify_status(status: int, code: str, message: str) -> FailureKind:
    """Return the failure kind of an upstream's error answer.

    Args:
        status: The HTTP status.
        code: The error's type and code as the dialect names them.
        message: The error's text; one provider tells a spent balance, a prompt that is too long,
            and a model that is not for this key, only there.
    """
    if any(word in code for word in _OUT_OF_CREDIT):
        return "account"
    if status == 429:
        return "rate_limited"
    filtered = any(word in code for word in _FILTER_CODES)
    if status == 403 and (filtered or _FLAGGED.search(message)):
        return "content_filter"
    if status == 403 and ("model_not_found" in code or _ABOUT_A_MODEL.search(message)):
        return "model_not_found"
    if status in {401, 402, 403}:
        return "account"
    if status == 408:
        return "timeout"
    if status >= 500:
        return "server_error"
    if status == 400 and any(words in message.lower() for words in _ACCOUNT_WORDS):
        return "account"
    if filtered:
        return "content_filter"
    if 400 <= status < 500:
        if status == 413 or any(word in code for word in _TOO_LONG_CODES):
            return "context_too_long"
        if status == 400 and any(word in message.lower() for word in _TOO_LONG_WORDS):
            return "context_too_long"
        if status == 404 or "model_not_found" in code or "not_found_error" in code:
            return "model_not_found"
        return "client_error"
    return "bad_answer"
