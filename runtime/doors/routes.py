"""What is served at a door: every path, its methods, who answers."""

from providers.wire import ANTHROPIC, OPENAI
from runtime.doors.control import ControlRoutes
from runtime.doors.forwarding import forwarding_handler
from runtime.doors.health import HealthRoutes
from runtime.doors.models import ModelRoutes
from runtime.doors.session import Routes
from runtime.services import Services

__all__ = ["build_routes"]


def build_routes(services: Services) -> Routes:
    """Return the routes of a running daemon.

    Args:
        services: The running daemon.
    """
    health = HealthRoutes(services)
    control = ControlRoutes(services)
    models = ModelRoutes(services)
    timeout = services.config.timeouts.request
    chat = {
        dialect.path: {
            "POST": forwarding_handler(dialect, services.resolver, services.forwarder, timeout)
        }
        for dialect in (OPENAI, ANTHROPIC)
    }
    return Routes(
        {
            **chat,
            "/v1/models": {"GET": models.list_models},
            "/health": {"GET": health.summary},
            "/health/detailed": {"GET": health.detailed},
            "/health/providers": {"GET": health.providers},
            "/health/metrics": {"GET": health.metrics},
            "/supervision/tree": {"GET": control.tree},
            "/supervision/{name}/kill": {"POST": control.kill},
            "/control/stop": {"POST": control.stop},
        }
    )
