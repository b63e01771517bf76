"""Where a provider's API key comes from: the file itself, a key file, systemd, the environment."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from runtime.configuration.addresses import is_header_word
from runtime.configuration.files import OpenToOthersError, read_bounded
from runtime.configuration.overrides import uses_makers_variables
from runtime.configuration.places import Places
from runtime.configuration.problems import Problem, suggestion
from runtime.configuration.provider_settings import UpstreamProvider
from runtime.configuration.secret import Secret
from runtime.configuration.settings import Config

__all__ = ["find_keys"]

_MAX_KEY = 16 * 1024


def find_keys(
    config: Config, places: Places, environ: Mapping[str, str], problems: list[Problem]
) -> Config:
    """Return the configuration with each provider's key in ``api_key``, where there is one.

    The first of these that gives one: ``api_key``, ``api_key_file`` or ``api_key_credential`` (at
    most one may be said), the systemd credential of the provider's name, and for a provider at its
    maker's own address the maker's usual variable, such as ``OPENAI_API_KEY``.

    Args:
        config: As read from the file.
        places: Where things stand in the file.
        environ: The environment.
        problems: Where to add what is wrong. A key is never part of it.
    """
    providers = dict(config.providers)
    for name, provider in providers.items():
        if isinstance(provider, UpstreamProvider):
            try:
                key = _key(name, provider, places, environ)
                _refuse_unsendable(key, name, places)
            except _KeyProblemError as error:
                problems.append(error.problem)
            else:
                providers[name] = msgspec.structs.replace(provider, api_key=key)
    return msgspec.structs.replace(config, providers=providers)


class _KeyProblemError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def _key(
    name: str, provider: UpstreamProvider, places: Places, environ: Mapping[str, str]
) -> Secret | None:
    where = ("providers", name)
    said = [
        key for key in ("api_key", "api_key_file", "api_key_credential") if getattr(provider, key)
    ]
    if len(said) > 1:
        message = f"{name} already has its key by {said[0]}; leave one of the two out"
        raise _KeyProblemError(places.key_problem(message, *where, said[1]))
    if provider.api_key:
        return provider.api_key
    if provider.api_key_file:
        path = Path(provider.api_key_file)
        if path.parts[0] == "~":
            path = Path(environ.get("HOME", "/"), *path.parts[1:])
        path = Path(places.file).parent / path
        source = f"the file of {name}.api_key_file"
        return Secret(_read(path, places, *where, "api_key_file"), source)
    if provider.api_key_credential:
        return _credential(name, provider.api_key_credential, places, environ)
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if directory and (Path(directory) / name).is_file():
        content = _read(Path(directory) / name, places, *where)
        return Secret(content, f"the systemd credential {name}")
    variable = f"{provider.kind.upper()}_API_KEY"
    value = environ.get(variable, "").strip()
    if value and uses_makers_variables(name, provider, places):
        return Secret(value, variable)
    return provider.api_key


def _credential(name: str, credential: str, places: Places, environ: Mapping[str, str]) -> Secret:
    where = ("providers", name, "api_key_credential")
    source = f"the systemd credential {credential}"
    if "/" in credential or credential in {".", ".."}:
        message = "expected the name of a credential, as in LoadCredential=name:/path"
        raise _KeyProblemError(places.problem(message, *where))
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return Secret("", f"not started by systemd with the credential {credential}")
    path = Path(directory) / credential
    if not path.exists():
        near = ""
        if Path(directory).is_dir() and not places.from_variable(*where):
            near = suggestion(credential, [found.name for found in Path(directory).iterdir()])
        message = (
            f"systemd gave no credential {places.shown(*where)}; "
            f"add LoadCredential= to the unit.{near}"
        )
        raise _KeyProblemError(places.problem(message, *where))
    return Secret(_read(path, places, *where), source)


def _read(path: Path, places: Places, *where: str) -> str:
    shown = "the key file" if places.from_variable(*where) else f"the key file {path}"
    try:
        content = read_bounded(path, _MAX_KEY, private=True).decode("ascii").strip()
    except OpenToOthersError as error:
        message = f"{shown} {error}; keep it to yourself: chmod 600"
        raise _KeyProblemError(places.problem(message, *where)) from None
    except OSError as error:
        message = f"{shown} cannot be read: {error.strerror}"
        raise _KeyProblemError(places.problem(message, *where)) from None
    except UnicodeDecodeError:
        message = f"{shown} holds more than a key"
        raise _KeyProblemError(places.problem(message, *where)) from None
    except ValueError as error:
        raise _KeyProblemError(places.problem(f"{shown} {error}", *where)) from None
    if not content:
        raise _KeyProblemError(places.problem(f"{shown} is empty", *where))
    return content


def _refuse_unsendable(key: Secret | None, name: str, places: Places) -> None:
    if key is not None and not is_header_word(key.reveal()):
        message = f"the API key from {key.source} has spaces or characters that no header can carry"
        path = next(
            (
                said
                for said in ("api_key", "api_key_file", "api_key_credential")
                if places.has("providers", name, said)
            ),
            "kind",
        )
        raise _KeyProblemError(places.problem(message, "providers", name, path))
