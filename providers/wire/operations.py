"""What can be asked of a provider: an answer, embeddings, a count of tokens.

Every operation goes the same way through the daemon; what differs is the path at which it is asked
for, the little that is read of its request, and what makes its answer a good one.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from providers.wire.values import AnswerPeek, RequestPeek

__all__ = ["Operation", "OperationName"]

OperationName = Literal["chat", "embeddings", "count_tokens", "passthrough"]
"""The operations, over all dialects; none but ``chat`` is ever asked for as a stream.

``passthrough`` is none of any dialect: it stands for whatever else a provider's API has, of which
nothing is read.
"""


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of one dialect.

    Attributes:
        name: Which one it is.
        path: The path at which clients ask for it.
        peek_request: Reads what routing needs of a request; raises ``WireError`` for one that is
            not what the dialect asks for.
        peek_answer: Checks that an answer with a status of success is a good one, given its body
            and its ``content-type``; raises ``AnswerFault`` for one that is not.
        adapt_answer: Puts a good answer into the form that a request asks for, given the bodies of
            both; None where servers give what they are asked for.
    """

    name: OperationName
    path: str
    peek_request: Callable[[bytes], RequestPeek]
    peek_answer: Callable[[bytes, bytes | None], AnswerPeek]
    adapt_answer: Callable[[bytes, bytes], bytes] | None = None
