"""HTTP/1.1 on one epoll of our own, for both sides: the daemon's hot path.

A `Poller` holds all sockets; its `run` and its wheel's `run` each need one task. On it stand
`Listener`, `ServerConnection` for clients and `ClientConnection` (made by `connect`) for upstreams.
"""

from providers.http.client import ClientConnection
from providers.http.connecting import Target, connect
from providers.http.dates import http_date
from providers.http.errors import (
    BadRequest,
    ConnectError,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    TLSError,
    Truncated,
    without_frames,
)
from providers.http.listener import Listener, bind_tcp, bind_unix
from providers.http.messages import (
    LAST_CHUNK,
    REASONS,
    Limits,
    Request,
    ResponseHead,
    chunk,
    request_head,
    response_head,
)
from providers.http.poller import Poller
from providers.http.server import Peer, ServerConnection
from providers.http.tls import TLSClientConnection, default_ssl_context
from providers.http.upstream import UpstreamConnection
from providers.http.wheel import Alarm, DeadlineWheel, Timed

__all__ = [
    "LAST_CHUNK",
    "REASONS",
    "Alarm",
    "BadRequest",
    "ClientConnection",
    "ConnectError",
    "ConnectionLost",
    "DeadlineExceeded",
    "DeadlineWheel",
    "Limits",
    "Listener",
    "Peer",
    "Poller",
    "ProtocolError",
    "Request",
    "ResponseHead",
    "ServerConnection",
    "TLSClientConnection",
    "TLSError",
    "Target",
    "Timed",
    "Truncated",
    "UpstreamConnection",
    "bind_tcp",
    "bind_unix",
    "chunk",
    "connect",
    "default_ssl_context",
    "http_date",
    "request_head",
    "response_head",
    "without_frames",
]
