"""Which handler answers which path: the table first, and only then whoever knows further paths."""

from collections.abc import Iterable, Mapping

from providers.wire import ANTHROPIC, Dialect
from runtime.doors.route_table import Routes


class Further:
    """Knows every path below /more/, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find(self, path: str) -> Mapping[str, str] | None:
        self.asked.append(path)
        return {"GET": "further"} if path.startswith("/more/") else None

    def dialect_at(self, path: str) -> Dialect | None:
        return ANTHROPIC if path.startswith("/more/") else None

    def paths(self) -> Iterable[str]:
        return ["/more/..."]


TABLE = {"/v1/a": {"GET": "a"}, "/v1/b/{id}": {"GET": "b"}, "/more/own": {"GET": "own"}}


def test_what_is_in_the_table_is_not_looked_for_elsewhere() -> None:
    further = Further()
    routes = Routes(TABLE, elsewhere=further)
    for path, handler in [
        ("/v1/a", "a"),
        ("/v1/b/c/d", "b"),
        ("/more/own", "own"),
        ("//v1/a", "a"),
        ("/v1/%61", "a"),
    ]:
        found = routes.find(path)
        assert found is not None
        assert found[0] == {"GET": handler}
    assert further.asked == []


def test_what_is_not_in_the_table_is_looked_for_elsewhere_as_it_came() -> None:
    further = Further()
    routes = Routes(TABLE, elsewhere=further)
    assert routes.find("/more/%61//b") == ({"GET": "further"}, "")
    assert routes.find("/nowhere") is None
    assert further.asked == ["/more/%61//b", "/nowhere"]
    assert routes.dialect_at("/more/x") is ANTHROPIC
    assert routes.dialect_at("/v1/a") is None
    assert routes.paths == ["/more/own", "/v1/a", "/v1/b/{id}", "/more/..."]


def test_without_anybody_else_only_the_table_counts() -> None:
    routes = Routes(TABLE)
    assert routes.find("/more/x") is None
    assert routes.dialect_at("/more/x") is None
    assert routes.paths == sorted(TABLE)
