"""What a text cites, in the words of chat completions: ``annotations`` of type ``url_citation``."""

from typing import Any

__all__ = ["annotation"]


def annotation(
    citation: dict[str, Any], made_in: str, start: int, end: int
) -> dict[str, Any] | None:
    """Return a citation as an annotation; None where it cites no address.

    Args:
        citation: The citation, in its dialect's words.
        made_in: The dialect.
        start: Where the text that bears it begins, in characters of the whole content.
        end: Where that text ends.
    """
    if made_in == "openai":
        inner = citation.get("url_citation")
        if citation.get("type") != "url_citation" or not isinstance(inner, dict):
            return None
        return {"type": "url_citation", "url_citation": _moved(inner, start)}
    if made_in == "responses":
        if citation.get("type") != "url_citation":
            return None
        inner = {key: value for key, value in citation.items() if key != "type"}
        return {"type": "url_citation", "url_citation": _moved(inner, start)}
    url = citation.get("url")
    if not isinstance(url, str):
        return None
    title = citation.get("title")
    return {
        "type": "url_citation",
        "url_citation": {
            "start_index": start,
            "end_index": end,
            "title": title if isinstance(title, str) else url,
            "url": url,
        },
    }


def _moved(inner: dict[str, Any], start: int) -> dict[str, Any]:
    """Return a citation of a text as one of the content in which the text begins at ``start``."""
    if not start:
        return inner
    moved = dict(inner)
    for name in ("start_index", "end_index"):
        if isinstance(moved.get(name), int):
            moved[name] += start
    return moved
