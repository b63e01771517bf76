"""An upstream that sends a token only when the test allows it: proof of order without a clock."""

import threading
from collections.abc import Sequence

from tests.support.answers import WORDS, closing, opening, tokens
from tests.support.scripted import PATIENCE, Exchange


class LockStep:
    """A handler for `Scripted` whose stream waits for `allow` before every token.

    A relay that holds tokens back stops for ever in front of it: the test has not yet seen the
    token after which it would have allowed the next.

    `asked` is set when a request has arrived, `gone` when the asker has hung up while the stream
    waited.
    """

    def __init__(self, words: Sequence[str] = WORDS) -> None:
        self.words = tuple(words)
        self.sent = 0
        self.asked = threading.Event()
        self.gone = threading.Event()
        self._allowed = threading.Semaphore(0)
        self._over = threading.Event()

    def allow(self, count: int = 1) -> None:
        """Let the next `count` tokens go."""
        self._allowed.release(count)

    def wait_gone(self) -> None:
        """From now on wait for the asker to hang up instead of sending tokens."""
        self._over.set()
        self._allowed.release()

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request in the dialect of its path."""
        dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
        self.asked.set()
        exchange.begin()
        for event in opening(dialect):
            exchange.piece(event)
        for event in tokens(dialect, self.words):
            assert self._allowed.acquire(timeout=PATIENCE), "the test never allowed the next token"
            if self._over.is_set():
                if exchange.wait_gone():
                    self.gone.set()
                return
            self.sent += 1
            exchange.piece(event)
        for event in closing(dialect):
            exchange.piece(event)
        exchange.finish()
