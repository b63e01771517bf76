"""What is served at a door: every path, its methods, who answers."""

from providers.wire import DIALECTS
from runtime.doors.control import ControlRoutes
from runtime.doors.forwarding import forwarding_handler
from runtime.doors.health import HealthRoutes
from runtime.doors.models import ModelRoutes
from runtime.doors.pass_through import PassThrough
from runtime.doors.route_table import Routes
from runtime.doors.session import Handler
from runtime.services import Services

__all__ = ["build_routes"]


def build_routes(services: Services) -> Routes[Handler]:
    """Return the routes of a running daemon.

    Args:
        services: The running daemon.
    """
    health = HealthRoutes(services)
    control = ControlRoutes(services)
    models = ModelRoutes(services)
    others = PassThrough(services)
    timeout = services.config.timeouts.request
    forwarded = {
        operation.path: {
            "POST": forwarding_handler(
                dialect, operation.name, services.resolver, services.forwarder, timeout
            )
        }
        for dialect in DIALECTS.values()
        for operation in dialect.operations.values()
    }
    return Routes(
        {
            **forwarded,
            "/v1/models": {"GET": models.list_models},
            "/v1/models/{id}": {"GET": models.show_model},
            "/health": {"GET": health.summary},
            "/health/detailed": {"GET": health.detailed},
            "/health/providers": {"GET": health.providers},
            "/health/metrics": {"GET": health.metrics},
            "/supervision/tree": {"GET": control.tree},
            "/supervision/{name}/kill": {"POST": control.kill},
            "/control/breakers/{provider}/open": {"POST": control.open_breaker},
            "/control/breakers/{provider}/close": {"POST": control.close_breaker},
            "/control/breakers/{provider}/disable": {"POST": control.disable_breaker},
            "/control/breakers/{provider}/reset": {"POST": control.reset_breaker},
            "/control/stop": {"POST": control.stop},
        },
        bounded=[*(methods["POST"] for methods in forwarded.values()), others.answer],
        elsewhere=others,
    )
