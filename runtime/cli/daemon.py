"""The verbs that read the configuration: `up` runs the daemon here, `check` and `schema` do not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from runtime.cli import exits
from runtime.cli.terminal import complain
from runtime.configuration import (
    Config,
    ConfigurationError,
    Problem,
    config_path,
    examine,
    socket_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["check", "schema", "up"]


def up(options: argparse.Namespace) -> int:
    """Run the daemon in the foreground until it is stopped."""
    found = examine(config_path(options.config, os.environ), environ=os.environ)
    try:
        socket = socket_path(found.config, options.socket, os.environ)
    except ConfigurationError as error:
        _print_problems([*found.problems, *error.problems])
        return exits.USAGE
    _print_warnings(found.warnings)
    if found.config is None:
        _print_problems(found.problems)
        complain("not started: the configuration cannot be used")
        return exits.USAGE
    # The whole daemon is imported here, after what is cheap to get wrong.
    from runtime.application import run_daemon  # noqa: PLC0415 - see above

    return run_daemon(found.config, socket_path=Path(socket), config_file=found.file)


def check(options: argparse.Namespace) -> int:
    """Read the configuration and say everything that is wrong with it, and what is doubtful."""
    file = config_path(options.file or options.config, os.environ)
    found = examine(file, environ=os.environ)
    problems = found.problems
    socket = ""
    try:
        socket = socket_path(found.config, options.socket, os.environ)
    except ConfigurationError as error:
        problems = [*problems, *error.problems]
    if options.json:
        said = {
            "file": str(file),
            "ok": not problems,
            "problems": [_as_object(problem) for problem in problems],
            "warnings": [_as_object(warning) for warning in found.warnings],
        }
        print(json.dumps(said, ensure_ascii=False, sort_keys=True))
        return exits.BAD if problems else exits.OK
    _print_warnings(found.warnings)
    if problems or found.config is None:
        _print_problems(problems)
        complain(f"{file}: {len(problems)} problem{'' if len(problems) == 1 else 's'}")
        return exits.BAD
    _print_summary(found.config, file, socket)
    return exits.OK


def _print_summary(config: Config, file: Path, socket: str) -> None:
    print(f"{file}: ok")
    print(f"socket     {socket}")
    if config.tcp.enabled:
        print(f"tcp        {config.tcp.host}:{config.tcp.port}")
    for name, provider in config.providers.items():
        state = "" if provider.configured else f"   not configured: {provider.missing}"
        if not provider.enabled:
            state = "   disabled"
        print(f"provider   {name} ({provider.kind}){state}")
    for name, group in config.groups.items():
        many = len(group.members)
        print(f"group      {name} ({group.strategy}, {many} member{'' if many == 1 else 's'})")
    for name in config.models:
        print(f"model      {name}")


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration file."""
    del options
    from runtime.configuration import json_schema  # noqa: PLC0415 - only this verb needs it

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return exits.OK


def _as_object(problem: Problem) -> dict[str, str | int]:
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "message": problem.message,
    }


def _print_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        print(problem, file=sys.stderr)


def _print_warnings(warnings: Sequence[Problem]) -> None:
    for warning in warnings:
        place = str(warning).removesuffix(warning.message)
        print(f"{place}warning: {warning.message}", file=sys.stderr)
