"""What happened, counted: metrics, scores, and handlers for those who want to hear of events."""

from runtime.telemetry.actor import Telemetry, TelemetryBoard
from runtime.telemetry.handlers import (
    ATTEMPT_STOP,
    CIRCUIT_CHANGE,
    HANDLER_FAILURE,
    PART_REPORT,
    REQUEST_STOP,
    HandlerExistsError,
    TelemetryHandler,
)
from runtime.telemetry.metrics import (
    Metrics,
    PartCounts,
    PassthroughCounts,
    ProviderMetrics,
    ShedCounts,
    TokenCounts,
)

__all__ = [
    "ATTEMPT_STOP",
    "CIRCUIT_CHANGE",
    "HANDLER_FAILURE",
    "PART_REPORT",
    "REQUEST_STOP",
    "HandlerExistsError",
    "Metrics",
    "PartCounts",
    "PassthroughCounts",
    "ProviderMetrics",
    "ShedCounts",
    "Telemetry",
    "TelemetryBoard",
    "TelemetryHandler",
    "TokenCounts",
]
