"""Text that must not be shown."""

__all__ = ["Secret"]


class Secret:
    """A key or token. It shows itself as ``***``; only `reveal` gives it away.

    Args:
        value: The text to keep.
        source: Where it came from, in words that may be shown, such as ``OPENAI_API_KEY``; of an
            empty one, why it is.
    """

    __slots__ = ("_value", "source")

    def __init__(self, value: str, source: str = "") -> None:
        self._value = value
        self.source = source

    def reveal(self) -> str:
        """Return the text itself. Keep it out of logs, errors and answers."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)
