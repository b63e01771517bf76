"""The `standby` command: reads the command line, runs one verb, turns failures into exit codes."""

from __future__ import annotations

import argparse
import io
import os
import sys

from runtime.cli import exits
from runtime.cli.errors import AnswerBroken, DaemonError, DaemonSilent, NoDaemon
from runtime.cli.terminal import complain, discard, open_missing_streams, width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_EPILOG = """\
examples:
  standby up                              run the daemon here, until Ctrl-C
  standby chat "Why is the sky blue?"     ask through it, streamed
  standby status                          how it and its providers are
  standby tree                            watch the supervision tree
  standby tree --once                     the same as text, once
  standby kill provider:sim-a             kill a part and see it come back
  standby breaker sim-a open              ask a provider no more, until reset

exit codes:
  0    done; for status and tree: healthy
  1    the daemon's answer is no: degraded, refused, unknown name; check: problems
  2    no daemon answers; or the command line or the configuration makes no sense
  3    chat: the answer broke off, what was printed is incomplete
  130  Ctrl-C
  141  the reader of the output went away

The socket is that of --socket, STANDBY_SOCKET or the configuration, in this order.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code.

    Args:
        argv: The arguments after the command's name; those of the process when None.
    """
    open_missing_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        # Both flags may stand before or after the verb, so neither parser may have a default.
        options = argparse.Namespace(socket=None, config=None)
        code = _run(_parser().parse_args(argv, options))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        discard(sys.stdout)
        return exits.PIPE_CLOSED
    except (NoDaemon, DaemonSilent, AnswerBroken) as error:
        complain(str(error))
        return exits.CANNOT_CONNECT
    except DaemonError as error:
        complain(str(error))
        return exits.BAD
    except OSError as error:
        discard(sys.stdout)
        named = "" if error.filename is None else f"{error.filename}: "
        complain(f"{named}{error.strerror or error}")
        return exits.BAD
    return code


def _run(options: argparse.Namespace) -> int:
    """Run the verb; each is imported only when it is asked for."""
    verb: str = options.verb
    if verb in {"up", "check", "schema"}:
        from runtime.cli import daemon  # noqa: PLC0415 - lazily, see the package's docstring

        return {"up": daemon.up, "check": daemon.check, "schema": daemon.schema}[verb](options)
    if verb == "demo":
        from runtime.cli.demo import demo  # noqa: PLC0415 - the same

        return demo(options)
    socket = _socket(options)
    if socket is None:
        return exits.USAGE
    if verb == "chat":
        from runtime.cli.chat import chat  # noqa: PLC0415 - the same

        return chat(options, socket)
    if verb == "tree":
        from runtime.cli.tree import tree  # noqa: PLC0415 - the same

        return tree(options, socket)
    if verb == "breaker":
        from runtime.cli.breaker import breaker  # noqa: PLC0415 - the same

        return breaker(options, socket)
    from runtime.cli import ask  # noqa: PLC0415 - the same

    return {"status": ask.status, "models": ask.models, "kill": ask.kill, "stop": ask.stop}[verb](
        options, socket
    )


def _socket(options: argparse.Namespace) -> str | None:
    """Return the daemon's socket; None after saying why there is none."""
    from runtime.configuration.paths import find_socket  # noqa: PLC0415 - `up` has another way
    from runtime.configuration.problems import ConfigurationError  # noqa: PLC0415 - the same

    try:
        return find_socket(flag=options.socket, config_flag=options.config, environ=os.environ)
    except ConfigurationError as error:
        for problem in error.problems:
            complain(str(problem))
        return None


def _parser() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False, formatter_class=_formatter)
    everywhere.add_argument(
        "--socket", metavar="PATH", default=argparse.SUPPRESS, help="the daemon's Unix socket"
    )
    everywhere.add_argument(
        "--config", metavar="FILE", default=argparse.SUPPRESS, help="the configuration file"
    )
    parser = argparse.ArgumentParser(
        prog="standby",
        description="One dependable local door to LLM providers.",
        epilog=_EPILOG,
        formatter_class=_formatter,
        parents=[everywhere],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, prog="standby")

    def verb(name: str, summary: str, examples: str = "") -> argparse.ArgumentParser:
        return verbs.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=examples and "examples:\n" + examples,
            formatter_class=_formatter,
            parents=[everywhere],
            allow_abbrev=False,
        )

    verb(
        "up",
        "run the daemon in the foreground",
        "  standby up\n  standby up --config ./config.yaml --socket /tmp/standby.sock\n",
    )
    _check(
        verb(
            "check",
            "read the configuration and say everything that is wrong with it",
            "  standby check\n  standby check ./config.yaml\n"
            "  standby check --json | jq -r '.problems[].message'\n",
        )
    )
    verb(
        "schema",
        "print the JSON Schema of the configuration",
        "  standby schema > config.schema.json\n",
    )
    _chat(
        verb(
            "chat",
            "ask one question through the daemon",
            '  standby chat "Why is the sky blue?"\n'
            "  git diff | standby chat --system 'Review this diff.'\n"
            "  standby chat --model sim-a/sim-1 --json hello\n",
        )
    )
    _status(
        verb(
            "status",
            "show how the daemon and its providers are",
            "  standby status\n  standby status --quiet && echo healthy\n",
        )
    )
    _asks(
        verb(
            "models",
            "list the names a request's model may have",
            "  standby models\n  standby models --json | jq -r '.data[].id'\n",
        )
    )
    _tree(
        verb(
            "tree",
            "show the supervision tree, live on a terminal",
            "  standby tree\n  standby tree --once --faults\n"
            "  standby tree --json --watch | jq .totals\n",
        )
    )
    _kill(
        verb(
            "kill",
            "kill one actor of the tree; its supervisor starts it again",
            "  standby kill provider:sim-a\n  standby kill telemetry\n",
        )
    )
    _breaker(
        verb(
            "breaker",
            "hold the circuit breaker of a provider open or closed, or let it go again",
            "  standby breaker sim-a open       no request goes there\n"
            "  standby breaker sim-a close      every request goes there, whatever fails\n"
            "  standby breaker sim-a disable    the same, and nothing is counted\n"
            "  standby breaker sim-a reset      it opens and closes by itself again\n",
        )
    )
    stop = verb(
        "stop",
        "stop the daemon in order, and wait until it is gone",
        "  standby stop\n  standby stop --wait 5\n",
    )
    _timeout(stop)
    _wait(stop, 60.0, "for the daemon to finish what it has begun")
    demo = verb(
        "demo",
        "show it at work: a daemon of its own, simulated providers, a kill",
        "  standby demo\n  standby demo --ascii\n",
    )
    demo.add_argument("--ascii", action="store_true", help="draw with ASCII only")
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return a formatter that knows its width: left to itself it would import shutil to ask."""
    return argparse.RawDescriptionHelpFormatter(prog, width=max(40, min(width() - 2, 98)))


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="?", help="the configuration file; as --config")
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")


def _chat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", nargs="?", help="what to ask; - or nothing reads stdin")
    parser.add_argument("--model", help="a model, group or alias (default: the group chat)")
    parser.add_argument(
        "--group", type=_word, metavar="NAME", help="ask this group, whatever the model"
    )
    parser.add_argument(
        "--provider", type=_word, metavar="NAME", help="ask this provider and no other"
    )
    parser.add_argument(
        "--timeout",
        type=_wait_text,
        metavar="SECONDS",
        help="for the whole answer; also 500ms or 2m (default: as configured)",
    )
    parser.add_argument("--system", metavar="TEXT", help="a system message before the question")
    parser.add_argument(
        "--no-stream", dest="stream", action="store_false", help="wait for the whole answer"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object with the answer and its facts"
    )
    parser.add_argument(
        "--silence",
        type=_seconds,
        default=300.0,
        metavar="SECONDS",
        help="how long the daemon may say nothing (default: %(default)g)",
    )


def _status(parser: argparse.ArgumentParser) -> None:
    _asks(parser)
    parser.add_argument("--quiet", action="store_true", help="print nothing; the exit code says it")


def _asks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    _timeout(parser)


def _tree(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--once", action="store_true", help="print the whole tree once")
    _asks(parser)
    parser.add_argument(
        "--watch", action="store_true", help="with --json: one object a line, again and again"
    )
    parser.add_argument("--ascii", action="store_true", help="draw with ASCII only")
    parser.add_argument("--faults", action="store_true", help="only what is faulty")
    parser.add_argument(
        "--interval",
        type=_interval,
        default=1.0,
        metavar="SECONDS",
        help="between two snapshots, 0.25 at least (default: %(default)g)",
    )
    parser.add_argument(
        "--width", type=int, metavar="COLUMNS", help="with --once: characters in a line"
    )


def _kill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the actor's name, as in the tree")
    _asks(parser)
    _wait(parser, 2.0, "for the actor to come back")


def _breaker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("provider", help="the provider's name")
    parser.add_argument(
        "command", type=_breaker_command, help="open, close, disable or reset (see the examples)"
    )
    _asks(parser)


def _breaker_command(text: str) -> str:
    from runtime.cli.breaker import command  # noqa: PLC0415 - lazily, as the verbs

    return command(text)


def _timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=5.0,
        metavar="SECONDS",
        help="for the daemon to answer (default: %(default)g)",
    )


def _wait(parser: argparse.ArgumentParser, default: float, what: str) -> None:
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=default,
        metavar="SECONDS",
        help=f"{what} (default: %(default)g)",
    )


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 86400 seconds")
    return value


def _word(text: str) -> str:
    if not (text.isascii() and text.isprintable() and text.strip()):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be a name")
    return text


def _wait_text(text: str) -> str:
    from runtime.configuration.units import parse_wait  # noqa: PLC0415 - only one option needs it

    try:
        parse_wait(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}, not {text!r}") from None
    return text


def _interval(text: str) -> float:
    value = _seconds(text)
    if value < 0.25:
        raise argparse.ArgumentTypeError("the shortest interval is 0.25 s")
    return value


class _Version(argparse.Action):
    """Prints the version of the installed distribution; looking that up costs its import."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        del namespace, values, option_string
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

        try:
            print(f"standby {version('standby')}")
        except PackageNotFoundError:
            print("standby, not installed")
        parser.exit(exits.OK)
