"""What can be wrong with a request or an answer, as exceptions in plain words."""

from typing import Literal

__all__ = ["AnswerFault", "AnswerFaultKind", "WireError"]

AnswerFaultKind = Literal["bad_answer", "content_filter", "error_body"]
"""What sort of bad answer it is.

- ``bad_answer``: not JSON, not the dialect, of the wrong content type, empty, or malformed.
- ``content_filter``: an error that says a content filter refused the request.
- ``error_body``: a success by its status that holds an error in the dialect.
"""


class WireError(Exception):
    """A request that is not what its dialect asks for: the asker's mistake.

    Args:
        message: What is wrong and where, fit for the asker.
        param: The field that is wrong, where it is one.
        code: A short name of the mistake, as OpenAI's ``code``.
        status: The HTTP status to answer with.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int = 400,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status


class AnswerFault(Exception):  # noqa: N818 - a fault found in an answer, named for what it is
    """An upstream's success that is none.

    Args:
        message: What is wrong, in plain words.
        kind: What sort of bad answer it is.
        error_type: The upstream's own error type, where it sent an error.
        error_code: The upstream's own error code, where it sent one.
        status: The HTTP status the upstream's error would have had, where that can be told.

    Attributes:
        events: The whole good events that came before the fault in the same piece of a stream.
    """

    def __init__(
        self,
        message: str,
        kind: AnswerFaultKind = "bad_answer",
        *,
        error_type: str | None = None,
        error_code: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.error_type = error_type
        self.error_code = error_code
        self.status = status
        self.events = b""
