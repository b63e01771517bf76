"""Blotting secrets out of bytes that pass: each by as many asterisks, so that no length changes."""

from collections.abc import Iterable

__all__ = ["Masking"]


class Masking:
    """Takes bytes piece by piece and gives them back without the secrets, wherever they are split.

    What may be the beginning of a secret is held back until the next piece shows whether it is.

    Args:
        secrets: What is not to be seen; none of them empty.
    """

    __slots__ = ("_held", "_secrets")

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._secrets = sorted(secrets, key=len, reverse=True)
        self._held = b""

    def whole(self, data: bytes) -> bytes:
        """Return bytes that are whole by themselves, without the secrets.

        Args:
            data: The bytes.
        """
        for secret in self._secrets:
            data = data.replace(secret, b"*" * len(secret))
        return data

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes; return what can be shown by now.

        Args:
            piece: The bytes.
        """
        data = self.whole(self._held + piece)
        held = max((_begun(secret, data) for secret in self._secrets), default=0)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def rest(self) -> bytes:
        """Return what is held back, once nothing more will come."""
        rest, self._held = self._held, b""
        return rest


def _begun(secret: bytes, data: bytes) -> int:
    """Return how many bytes at the end of data are the beginning of a secret."""
    for size in range(min(len(secret) - 1, len(data)), 0, -1):
        if data.endswith(secret[:size]):
            return size
    return 0
