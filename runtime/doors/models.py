"""The models that can be asked for, in either dialect."""

from providers.http import Request
from providers.wire import ModelEntry, WireError, page_of
from runtime.doors.session import Session, dialect_of
from runtime.routing.route import UnroutableError
from runtime.services import Services

__all__ = ["ModelRoutes"]


class ModelRoutes:
    """Handlers of ``/v1/models``.

    Args:
        services: The running daemon.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def list_models(self, session: Session, request: Request) -> None:
        """Answer with every name a request may ask for, in the asker's dialect."""
        services = self._services
        dialect = dialect_of(request)
        entries = [
            ModelEntry(id=name, owned_by=owner, created=int(services.started_at))
            for name, owner in services.resolver.names().items()
        ]
        has_more = False
        if dialect.name == "anthropic":
            try:
                page, has_more = page_of(entries, request.query)
            except WireError as error:
                session.refuse(dialect, error.status, error.message, param=error.param)
                return
            entries = list(page)
        session.respond(200, dialect.models_page(entries, has_more=has_more))

    async def show_model(self, session: Session, request: Request) -> None:
        """Answer with one name that a request may ask for, in the asker's dialect."""
        services = self._services
        dialect = dialect_of(request)
        name = session.segment
        try:
            owner = services.resolver.owner(name)
        except UnroutableError as error:
            session.refuse(dialect, error.status, str(error), code=error.code, param="model")
            return
        entry = ModelEntry(id=name, owned_by=owner, created=int(services.started_at))
        session.respond(200, dialect.model_body(entry))
