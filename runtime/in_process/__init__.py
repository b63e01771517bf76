"""Standby inside a program: the daemon's tree without its doors.

The attempt loop, the breakers, fail-over and telemetry are those that the doors use; what a door
does with a client's connection is done here with a function that takes events.
"""

from providers.chat import ChatError, OnEvent
from providers.chat_request import ChatRequest
from providers.prices import Cost, Prices
from providers.wire import Usage
from providers.wire.chat_events import (
    ChatEvent,
    DeltaText,
    DeltaThinking,
    DeltaToolCall,
    Done,
    Error,
    Metadata,
)
from runtime.in_process.adapter import ProviderAdapter, RequestError
from runtime.in_process.factory import CostEstimate, ProviderFactory
from runtime.in_process.reply import Reply
from runtime.in_process.standby import Standby, open_standby

__all__ = [
    "ChatError",
    "ChatEvent",
    "ChatRequest",
    "Cost",
    "CostEstimate",
    "DeltaText",
    "DeltaThinking",
    "DeltaToolCall",
    "Done",
    "Error",
    "Metadata",
    "OnEvent",
    "Prices",
    "ProviderAdapter",
    "ProviderFactory",
    "Reply",
    "RequestError",
    "Standby",
    "Usage",
    "open_standby",
]
