"""The mock upstream made by others (llmock), as a process of its own on a loopback port.

It speaks the OpenAI and the Anthropic API, plain and streamed, breaks them on demand, keeps a
journal of every request it saw, and judges how the client behaved. Nobody who wrote Standby wrote
it, so agreement with it is not agreement with ourselves.
"""

import json
import select
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.private_environment import python_of

HOME = Path(__file__).parent.parent / "integration" / "upstream"
START_TIMEOUT = 30.0


class ForeignUpstream:
    """llmock, started on entry and ended on exit.

    `url` is its root; `openai_url` and `anthropic_url` are what a provider's `base_url` takes.
    """

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def openai_url(self) -> str:
        """The base URL of its OpenAI API."""
        return f"{self.url}/v1"

    @property
    def anthropic_url(self) -> str:
        """The base URL of its Anthropic API, as Anthropic's SDK takes it (without /v1)."""
        return f"{self.url}/anthropic"

    def __enter__(self) -> Self:
        """Start it and wait until it has said where it listens."""
        python = python_of(HOME / "requirements.lock")
        self._process = subprocess.Popen(
            # -I: neither this checkout nor the caller's environment reaches its imports.
            [str(python), "-I", str(HOME / "serve.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            self.url = self._said()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        self._end()

    def script(self, *behaviours: Mapping[str, object]) -> None:
        """Queue behaviours (``{"type": "fail", "status": 503}`` …) for the requests to come."""
        self._ask("POST", "/_llmock/scenario", {"behaviors": list(behaviours)})

    def reset(self) -> None:
        """Forget queued behaviours and the journal."""
        self._ask("POST", "/_llmock/reset")

    def journal(self) -> Sequence[Mapping[str, Any]]:
        """Return every request it served since the last reset, oldest first."""
        seen = self._ask("GET", "/_llmock/requests")["requests"]
        assert isinstance(seen, list)
        return seen

    def verdict(self) -> Mapping[str, Any]:
        """Return its judgement of how the client that asked it coped with the faults."""
        return self._ask("GET", "/_llmock/verdict")

    def _ask(self, method: str, path: str, body: object = None) -> Mapping[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            decoded = json.load(answer)
        assert isinstance(decoded, dict)
        return decoded

    def _said(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + START_TIMEOUT
        ready, _, _ = select.select([self._process.stdout], [], [], deadline - time.monotonic())
        line = self._process.stdout.readline().decode().strip() if ready else ""
        if not line.startswith("http://127.0.0.1:"):
            raise RuntimeError(
                f"the mock upstream did not say where it listens (said {line!r}, "
                f"exit code {self._process.poll()})"
            )
        return line

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)
        process.stdout.close()
