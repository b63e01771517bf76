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
    config_path,
    json_schema,
    load,
    socket_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["check", "schema", "up"]


def up(options: argparse.Namespace) -> int:
    """Run the daemon in the foreground until it is stopped."""
    file = config_path(options.config, os.environ)
    try:
        config = load(file, environ=os.environ)
        socket = socket_path(config, options.socket, os.environ)
    except ConfigurationError as error:
        _print_problems(error)
        complain("not started: the configuration cannot be used")
        return exits.USAGE
    # The whole daemon is imported here, after what is cheap to get wrong.
    from runtime.application import run_daemon  # noqa: PLC0415 - see above

    return run_daemon(config, socket_path=Path(socket), config_file=file)


def check(options: argparse.Namespace) -> int:
    """Read the configuration and say everything that is wrong with it."""
    file = config_path(options.file or options.config, os.environ)
    try:
        config = load(file, environ=os.environ)
        socket = socket_path(config, options.socket, os.environ)
    except ConfigurationError as error:
        if options.json:
            problems = [
                {"file": p.file, "line": p.line, "column": p.column, "message": p.message}
                for p in error.problems
            ]
            print(json.dumps({"file": str(file), "ok": False, "problems": problems}))
        else:
            _print_problems(error)
            many = len(error.problems)
            complain(f"{file}: {many} problem{'' if many == 1 else 's'}")
        return exits.BAD
    if options.json:
        print(json.dumps({"file": str(file), "ok": True, "problems": []}))
    else:
        _print_summary(config, file, socket)
    return exits.OK


def _print_summary(config: Config, file: Path, socket: str) -> None:
    print(f"{file}: ok")
    print(f"socket     {socket}")
    if config.tcp.enabled:
        print(f"tcp        {config.tcp.host}:{config.tcp.port}")
    for name, provider in config.providers.items():
        state = "" if provider.configured else f"   not configured: {provider.missing}"
        print(f"provider   {name} ({provider.kind}){state}")
    for name, group in config.groups.items():
        print(f"group      {name} ({group.strategy}, {len(group.members)} members)")
    for name in config.models:
        print(f"model      {name}")


def schema(options: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration file."""
    del options
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return exits.OK


def _print_problems(error: ConfigurationError) -> None:
    for problem in error.problems:
        print(problem, file=sys.stderr)
