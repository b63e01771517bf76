"""Which proxy each provider goes through: its own, or the one that the environment names."""

from collections.abc import Mapping

import msgspec

from providers.proxies import Proxy, is_local, proxy_variable
from runtime.configuration.addresses import Address, url_mistake
from runtime.configuration.places import Places
from runtime.configuration.problems import Problem
from runtime.configuration.provider_settings import UpstreamProvider
from runtime.configuration.secret import Secret
from runtime.configuration.settings import Config

__all__ = ["find_proxies"]


def find_proxies(
    config: Config, places: Places, environ: Mapping[str, str], problems: list[Problem]
) -> Config:
    """Return the configuration with the proxy of each provider that is used; None for no proxy.

    Args:
        config: As read from the file, with keys.
        places: What the file itself says.
        environ: The environment.
        problems: Where to add what is wrong; no problem repeats an address.
    """
    providers = dict(config.providers)
    for name, provider in providers.items():
        if isinstance(provider, UpstreamProvider):
            if url_mistake(provider.base_url):  # which is said elsewhere
                continue
            address = Address.of(provider.base_url)
            if provider.http2 and not address.secure:
                message = "http2 needs an upstream at https://"
                problems.append(places.problem(message, "providers", name, "http2"))
            proxy = _proxy_of(name, provider, address, places, environ, problems)
            providers[name] = msgspec.structs.replace(provider, proxy=proxy)
    return msgspec.structs.replace(config, providers=providers)


def _proxy_of(  # noqa: PLR0917 - the same as find_proxies', for one provider
    name: str,
    provider: UpstreamProvider,
    address: Address,
    places: Places,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> Secret | None:
    stated = provider.proxy
    said = stated.reveal() if stated is not None else ""
    if said == "none":
        return None
    if stated is not None and said not in {"", "auto"}:
        where = ("providers", name, "proxy")
        try:
            Proxy.from_url(said)
        except ValueError as error:
            problems.append(places.problem(str(error), *where))
        if is_local(address.host):
            message = "an upstream on this machine is never asked through a proxy"
            problems.append(places.problem(message, *where))
        return stated
    variable = proxy_variable(address.host, address.port, environ, tls=address.secure)
    if variable is None or not provider.enabled or not provider.configured:
        return None
    try:
        Proxy.from_url(environ[variable].strip())
    except ValueError as error:
        message = f"{error} (it is meant for provider {name})"
        problems.append(Problem(f"environment variable {variable}", 0, 0, message))
    return Secret(environ[variable].strip(), variable)
