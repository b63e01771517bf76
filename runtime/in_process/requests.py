"""Which model a request is for that names none."""

from collections.abc import Mapping

from providers.chat_request import AnyRequest, ChatRequest
from providers.patterns import is_pattern
from providers.wire import WireError
from runtime.services import Services

__all__ = ["default_model", "named_model", "own_model"]


def named_model(request: AnyRequest) -> str | None:
    """Return the model that a request names, if it names one."""
    named: object = None
    if isinstance(request, ChatRequest):
        named = request.model
    elif isinstance(request, Mapping):
        named = request.get("model")
    return named if isinstance(named, str) and named else None


def default_model(services: Services, provider: str | None = None) -> str:
    """Return the model for a request that names none.

    Args:
        services: The running tree.
        provider: The only provider to be asked, if there is one.

    Returns:
        The provider's first model; without a provider the first group, or else the only name that
        can be asked for.

    Raises:
        WireError: There is no such model.
    """
    if provider is not None:
        model = own_model(services, provider)
        if model is None:
            raise WireError(f"model: say which; provider {provider} lists none", param="model")
        return model
    for group in services.failover.plans:
        return group
    names = list(services.resolver.names())
    if len(names) == 1:
        return names[0]
    message = "model: say which; there is no group to ask, and more than one model"
    raise WireError(message if names else "model: say which; none is listed", param="model")


def own_model(services: Services, provider: str) -> str | None:
    """Return the first model that a provider lists by name."""
    models = services.providers[provider].models
    return next((model for model in models if not is_pattern(model)), None)
