"""The official SDKs pointed at a Unix socket, with their own retries off.

Retries are off because the daemon's behaviour is under test: a second try of the SDK would hide
what the first one met. Each client is a context manager and closes its connections.
"""

from pathlib import Path

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import MessageParam
from openai.types.chat import ChatCompletionMessageParam

KEY = "local-key-of-the-asker"
"""What askers send as their key; the daemon must never pass it on."""

TIMEOUT = 20.0

SDK_LEAVES_GENERATORS = pytest.mark.filterwarnings(
    "ignore:Async generator '(httpx2|openai).*:ResourceWarning"
)
"""For tests that stream with OpenAI's asynchronous client: after the finish marker it leaves its
own iterators over the body to the garbage collector, of which trio warns."""

OPENAI_ASK: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Count to five."}]
ANTHROPIC_ASK: list[MessageParam] = [{"role": "user", "content": "Count to five."}]


def openai_client(socket: Path) -> openai.OpenAI:
    """Return OpenAI's synchronous client over `socket`."""
    return openai.OpenAI(
        api_key=KEY,
        base_url="http://localhost/v1",
        max_retries=0,
        timeout=TIMEOUT,
        http_client=openai.DefaultHttpx2Client(transport=httpx2.HTTPTransport(uds=str(socket))),
    )


def async_openai_client(socket: Path) -> openai.AsyncOpenAI:
    """Return OpenAI's asynchronous client over `socket`; it runs on trio."""
    return openai.AsyncOpenAI(
        api_key=KEY,
        base_url="http://localhost/v1",
        max_retries=0,
        timeout=TIMEOUT,
        http_client=openai.DefaultAsyncHttpx2Client(
            transport=httpx2.AsyncHTTPTransport(uds=str(socket))
        ),
    )


def anthropic_client(socket: Path) -> anthropic.Anthropic:
    """Return Anthropic's synchronous client over `socket`."""
    return anthropic.Anthropic(
        api_key=KEY,
        base_url="http://localhost",
        max_retries=0,
        timeout=TIMEOUT,
        http_client=anthropic.DefaultHttpxClient(transport=httpx2.HTTPTransport(uds=str(socket))),
    )


def async_anthropic_client(socket: Path) -> anthropic.AsyncAnthropic:
    """Return Anthropic's asynchronous client over `socket`; it runs on trio."""
    return anthropic.AsyncAnthropic(
        api_key=KEY,
        base_url="http://localhost",
        max_retries=0,
        timeout=TIMEOUT,
        http_client=anthropic.DefaultAsyncHttpxClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(socket))
        ),
    )
