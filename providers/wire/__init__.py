"""The wire formats: what the daemon reads of requests and answers, and writes in their dialects.

A request or an answer that stays within one dialect passes through as the bytes it came in. A
``Dialect`` looks into them for the little that routing, counting and judging need.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from providers.wire.anthropic import AnthropicDialect
from providers.wire.completions import CompletionsDialect
from providers.wire.dialect import Dialect
from providers.wire.events import MAX_EVENT, StreamReader
from providers.wire.faults import AnswerFault, AnswerFaultKind, WireError
from providers.wire.models import page_of
from providers.wire.openai import OpenAIDialect
from providers.wire.operations import Operation, OperationName
from providers.wire.responses import ResponsesDialect
from providers.wire.values import AnswerPeek, ModelEntry, RequestPeek, UpstreamError, Usage

__all__ = [
    "ANTHROPIC",
    "COMPLETIONS",
    "DIALECTS",
    "MAX_EVENT",
    "OPENAI",
    "RESPONSES",
    "AnswerFault",
    "AnswerFaultKind",
    "AnswerPeek",
    "Dialect",
    "ModelEntry",
    "Operation",
    "OperationName",
    "RequestPeek",
    "StreamReader",
    "UpstreamError",
    "Usage",
    "WireError",
    "page_of",
]

OPENAI: Final[Dialect] = OpenAIDialect()
"""Chat completions and embeddings."""

ANTHROPIC: Final[Dialect] = AnthropicDialect()
"""Messages and the counting of their tokens."""

COMPLETIONS: Final[Dialect] = CompletionsDialect()
"""Legacy completions."""

RESPONSES: Final[Dialect] = ResponsesDialect()
"""OpenAI's Responses."""

DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType(
    {dialect.name: dialect for dialect in (OPENAI, ANTHROPIC, COMPLETIONS, RESPONSES)}
)
"""All, by name."""
