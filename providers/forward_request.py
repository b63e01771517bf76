"""A request on its way to a provider, as the asker sent it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from providers.wire import OperationName

__all__ = ["ForwardRequest"]


class ForwardRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request on its way to one provider.

    Attributes:
        headers: The asker's headers, names in lower case.
        derived: What has been derived from headers, operation and target, to be used again with
            the same ones.
        body: The asker's body, byte for byte.
        model: The model named in the body.
        stream: Whether a streamed answer is asked for.
        request_id: The daemon's own id of the request.
        operation: What is asked for.
        dialect: The dialect the body is in.
        target: The target as the asker sent it; its query travels on, its path does not. Of a
            request that is passed through it is what the asker sent behind the provider's name, and
            all of it travels on.
        method: The method; of all operations but ``passthrough`` it is ``POST``.
    """

    headers: Sequence[tuple[bytes, bytes]]
    derived: dict[object, Any] = {}
    body: bytes
    model: str
    stream: bool
    request_id: str
    operation: OperationName = "chat"
    dialect: str = ""
    target: str = ""
    method: str = "POST"
