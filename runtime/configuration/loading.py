"""Reading a configuration file: from bytes to a checked `Config`."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from runtime.configuration.checks import check_references
from runtime.configuration.document import parse
from runtime.configuration.files import MAX_FILE, read_bounded
from runtime.configuration.inheritance import inherit
from runtime.configuration.keys import find_keys
from runtime.configuration.locations import config_path
from runtime.configuration.overrides import override
from runtime.configuration.problems import ConfigurationError, Problem
from runtime.configuration.proxies import find_proxies
from runtime.configuration.reader import Reader
from runtime.configuration.settings import Config

__all__ = ["Examination", "examine", "load", "load_document"]


class Examination(Struct, frozen=True):
    """What became of reading a configuration.

    Attributes:
        file: The file that was read.
        config: The configuration; None when there are problems.
        problems: What makes it unusable, in the order of the file.
        warnings: What works but is likely not meant, in the order of the file.
    """

    file: Path
    config: Config | None
    problems: list[Problem]
    warnings: list[Problem]


def load(path: Path | str | None = None, *, environ: Mapping[str, str] | None = None) -> Config:
    """Return the configuration in a file, checked.

    It reads files and blocks; within trio call it in a worker thread.

    Args:
        path: The file; None looks in the usual places (`config_path`).
        environ: The environment; ``os.environ`` when None.

    Raises:
        ConfigurationError: With every mistake that was found.
    """
    found = examine(path, environ=environ)
    if found.config is None:
        raise ConfigurationError(found.problems)
    return found.config


def load_document(
    document: Mapping[str, object],
    *,
    name: str = "the configuration",
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Return a configuration that is given as a mapping, with the keys and values of a file.

    Like ``load`` it may read files. Places in problems are those in the mapping written as
    indented JSON.

    Args:
        document: The mapping.
        name: What to call it in problems; files that it names are looked for in the working
            directory.
        environ: The environment; ``os.environ`` when None.

    Raises:
        ConfigurationError: With every mistake that was found.
        TypeError: When it holds something that no file could.
    """
    environ = os.environ if environ is None else environ
    content = msgspec.json.format(msgspec.json.encode(document), indent=2)
    found = _examine_content(content, Path(name), environ)
    if found.config is None:
        raise ConfigurationError(found.problems)
    return found.config


def examine(
    path: Path | str | None = None, *, environ: Mapping[str, str] | None = None
) -> Examination:
    """Read a configuration file and say what is wrong with it and what is doubtful.

    Args:
        path: The file; None looks in the usual places (`config_path`).
        environ: The environment; ``os.environ`` when None.
    """
    environ = os.environ if environ is None else environ
    file = config_path(None, environ) if path is None else Path(path)
    problems: list[Problem] = []
    try:
        content = read_bounded(file, MAX_FILE)
    except FileNotFoundError:
        problems = [Problem(str(file), 0, 0, "there is no such file")]
    except OSError as error:
        problems = [Problem(str(file), 0, 0, f"cannot be read: {error.strerror}")]
    except ValueError as error:
        problems = [Problem(str(file), 0, 0, str(error))]
    else:
        return _examine_content(content, file, environ)
    return Examination(file, None, problems, [])


def _examine_content(content: bytes, file: Path, environ: Mapping[str, str]) -> Examination:
    problems: list[Problem] = []
    warnings: list[Problem] = []
    document = parse(content, str(file), problems)
    if document.root is None and not document.whole:
        return Examination(file, None, problems, warnings)
    reader = Reader(str(file), environ, problems, whole=document.whole)
    config = reader.read(Config, document.root)
    if document.whole:  # of a part nobody can tell whether it fits the rest
        places = reader.places
        config = override(config, places, environ, problems)
        config = inherit(config, places)
        config = find_keys(config, places, environ, problems)
        config = find_proxies(config, places, environ, problems)
        config = check_references(config, places, problems, warnings)
    for found in (problems, warnings):
        found.sort(key=lambda problem: (problem.line, problem.column))
    return Examination(file, None if problems else config, problems, warnings)
