"""What an HTTP status is called in each dialect, and which status goes with a name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = [
    "ANTHROPIC_TYPES",
    "OPENAI_TYPES",
    "anthropic_type",
    "openai_type",
    "status_of_anthropic",
    "status_of_openai",
]

OPENAI_TYPES: Final[Mapping[int, tuple[str, str | None]]] = MappingProxyType(
    {
        400: ("invalid_request_error", None),
        401: ("invalid_request_error", "invalid_api_key"),
        402: ("insufficient_quota", "insufficient_quota"),
        403: ("invalid_request_error", "permission_denied"),
        404: ("invalid_request_error", "not_found"),
        405: ("invalid_request_error", "method_not_allowed"),
        408: ("timeout_error", "request_timeout"),
        409: ("conflict_error", "conflict"),
        413: ("invalid_request_error", "request_too_large"),
        415: ("invalid_request_error", "unsupported_media_type"),
        422: ("invalid_request_error", "unprocessable_entity"),
        429: ("rate_limit_error", "rate_limit_exceeded"),
        500: ("server_error", None),
        501: ("server_error", "not_implemented"),
        502: ("server_error", "bad_gateway"),
        503: ("server_error", "server_is_overloaded"),
        504: ("server_error", "timeout"),
        529: ("server_error", "server_is_overloaded"),
    }
)
"""OpenAI's ``type`` and ``code`` by status."""

ANTHROPIC_TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        405: "invalid_request_error",
        408: "timeout_error",
        409: "conflict_error",
        413: "request_too_large",
        415: "invalid_request_error",
        422: "invalid_request_error",
        429: "rate_limit_error",
        500: "api_error",
        501: "api_error",
        502: "api_error",
        503: "api_error",
        504: "timeout_error",
        529: "overloaded_error",
    }
)
"""Anthropic's ``type`` by status."""

_STATUS_BY_ANTHROPIC_TYPE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "invalid_request_error": 400,
        "authentication_error": 401,
        "billing_error": 402,
        "permission_error": 403,
        "not_found_error": 404,
        "conflict_error": 409,
        "request_too_large": 413,
        "rate_limit_error": 429,
        "api_error": 500,
        "timeout_error": 504,
        "overloaded_error": 529,
    }
)

_STATUS_BY_OPENAI_NAME: Final[Mapping[str, int]] = MappingProxyType(
    {
        # Codes come before types where both are known: they say more.
        "invalid_api_key": 401,
        "insufficient_quota": 429,
        "credit_balance_exhausted": 429,
        "permission_denied": 403,
        "model_not_found": 404,
        "not_found": 404,
        "rate_limit_exceeded": 429,
        "slow_down": 429,
        "server_is_overloaded": 503,
        "bad_gateway": 502,
        "timeout": 504,
        "invalid_request_error": 400,
        "authentication_error": 401,
        "permission_error": 403,
        "rate_limit_error": 429,
        "requests": 429,
        "tokens": 429,
        "overloaded_error": 503,
        "timeout_error": 504,
        "server_error": 500,
        "internal_server_error": 500,
        "api_error": 500,
    }
)


def openai_type(status: int) -> tuple[str, str | None]:
    """Return OpenAI's ``type`` and ``code`` for a status, also for one that is not listed."""
    found = OPENAI_TYPES.get(status)
    if found is not None:
        return found
    return ("server_error" if status >= 500 else "invalid_request_error", None)


def anthropic_type(status: int) -> str:
    """Return Anthropic's error ``type`` for a status, also for one that is not listed."""
    found = ANTHROPIC_TYPES.get(status)
    if found is not None:
        return found
    return "api_error" if status >= 500 else "invalid_request_error"


def status_of_openai(kind: str, code: str | None) -> int | None:
    """Return the status that goes with an error's ``type`` and ``code``, if they tell."""
    by_code = _STATUS_BY_OPENAI_NAME.get(code) if code is not None else None
    if by_code is not None:
        return by_code
    if code is not None and code.isdecimal() and 400 <= int(code) <= 599:
        return int(code)  # some servers repeat the status here
    return _STATUS_BY_OPENAI_NAME.get(kind)


def status_of_anthropic(kind: str) -> int | None:
    """Return the status that goes with an error's ``type``, if it tells."""
    return _STATUS_BY_ANTHROPIC_TYPE.get(kind)
