"""A YAML text as a tree of nodes that know where they stand.

PyYAML's parser gives the events (libyaml's where it is built in); the tree is composed here, so
that duplicate keys are seen, aliases cannot blow up, nesting is bounded, and no tag ever makes an
object. Plain scalars keep their text: what ``no`` or ``010`` means is decided by what is expected
at that place, never by YAML 1.1's guesses.
"""

from collections.abc import Iterator

import msgspec
import yaml

from runtime.configuration.problems import Problem
from runtime.configuration.syntax import AGAIN, syntax_problem, without

__all__ = ["Document", "Mapping", "Node", "Scalar", "Sequence", "parse"]

_MAX_DEPTH = 32
_MAX_NODES = 50_000
_TAG_PREFIX = "tag:yaml.org,2002:"
_SCALAR_TAGS = frozenset({"str", "int", "float", "bool", "null"})
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar(msgspec.Struct, frozen=True, eq=False):
    """One word, number or text.

    Attributes:
        text: What stands in the file, quotes and escapes resolved.
        plain: Whether it was written without quotes, so that it may mean a number or a boolean.
        line: Counted from 1.
        column: In characters, counted from 1.
        size: Nodes in this tree, aliases counted in full.
        depth: Levels of nesting below and including this one.
        variables: Environment variables its text was made from; empty for what the file says.
    """

    text: str
    plain: bool
    line: int
    column: int
    size: int = 1
    depth: int = 1
    variables: tuple[str, ...] = ()


class Mapping(msgspec.Struct, frozen=True, eq=False):
    """Keys and values, in the order of the file, each key once."""

    pairs: tuple[tuple[Scalar, "Node"], ...]
    line: int
    column: int
    size: int = 1
    depth: int = 1


class Sequence(msgspec.Struct, frozen=True, eq=False):
    """A list."""

    items: tuple["Node", ...]
    line: int
    column: int
    size: int = 1
    depth: int = 1


Node = Scalar | Mapping | Sequence


class Document(msgspec.Struct, frozen=True):
    """What was read of a file.

    Attributes:
        root: The tree; None for an empty text and for one that cannot be read at all.
        whole: Whether that is everything. Otherwise parts that are no YAML were left out of it,
            and what seems to be missing may only be unreadable.
    """

    root: Node | None
    whole: bool = True


def parse(content: bytes, file: str, problems: list[Problem]) -> Document:
    """Return the tree of a YAML text.

    Args:
        content: The text in UTF-8.
        file: What to call it in problems.
        problems: Where to add what is wrong.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        problems.append(_at(file, before, "this byte is not UTF-8; save the file as UTF-8"))
        return Document(None, whole=False)
    rest: str | None = text
    broken: list[Problem] = []
    while rest is not None:
        found: list[Problem] = []
        try:
            root = _Composer(rest, file, found, whole=not broken).document()
        except _TooMuchError as error:
            problems += [*broken, *found, error.problem]
            return Document(None, whole=False)
        except yaml.MarkedYAMLError as error:
            broken.append(syntax_problem(file, rest, error))
            rest = without(rest, error) if len(broken) < AGAIN else None
        except yaml.reader.ReaderError as error:
            number = error.character if isinstance(error.character, int) else ord(error.character)
            message = f"the character U+{number:04X} is not allowed in YAML"
            problems.append(_at(file, text[: error.position], message))
            return Document(None, whole=False)
        else:
            problems += [*broken, *found]
            return Document(root, whole=not broken)
    problems += broken
    return Document(None, whole=False)


class _TooMuchError(Exception):
    """The text goes beyond a bound; reading on would be unwise."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class _Composer:
    """Builds the tree from the parser's events; `whole` where no part of the text was left out."""

    def __init__(self, text: str, file: str, problems: list[Problem], *, whole: bool) -> None:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_Loader)
        self._file = file
        self._problems = problems
        self._whole = whole
        self._anchors: dict[str, Node] = {}
        self._open_anchors: set[str] = set()

    def document(self) -> Node | None:
        """Return the only document's tree, or None when there is none."""
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    self._note(event, "a second YAML document begins here; expected only one")
                    return root
            elif not isinstance(
                event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)
            ):
                root = self._node(event, 1)
        return root

    def _node(self, event: yaml.Event, level: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        anchor: str | None = event.anchor  # type: ignore[attr-defined] # every other node event has one
        if anchor is not None:
            if anchor in self._anchors:
                self._note(event, f"the anchor &{anchor} stands here a second time")
            self._open_anchors.add(anchor)
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(event, level)
        else:
            node = self._sequence(event, level)
        if node.size > _MAX_NODES:
            raise self._too_much(event, f"more than {_MAX_NODES} values, aliases counted in full")
        if node.depth > _MAX_DEPTH:
            raise self._too_deep(event)
        if anchor is not None:
            self._open_anchors.discard(anchor)
            self._anchors[anchor] = node
        return node

    def _aliased(self, event: yaml.AliasEvent) -> Node:
        anchor = event.anchor or ""
        target = self._anchors.get(anchor)
        if target is not None:
            return target
        if anchor in self._open_anchors:
            self._note(event, f"*{anchor} stands inside the value that it names")
        elif self._whole:
            self._note(event, f"*{anchor} names nothing; expected an anchor &{anchor} before it")
        line, column = _place(event)
        return Scalar("", plain=True, line=line, column=column)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        tag: str | None = event.tag
        plain = bool(event.implicit[0])
        if tag is not None and tag != "!":
            self._check_tag(event, tag, _SCALAR_TAGS)
            plain = tag.removeprefix(_TAG_PREFIX) != "str"
        return Scalar(event.value, plain, *_place(event))

    def _sequence(self, event: yaml.Event, level: int) -> Sequence:
        self._check_tag(event, event.tag, frozenset({"seq"}))  # type: ignore[attr-defined] # a sequence's start has one
        if level >= _MAX_DEPTH:
            raise self._too_deep(event)
        items: list[Node] = []
        size = depth = 0
        for inner in self._events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            item = self._node(inner, level + 1)
            items.append(item)
            size += item.size
            depth = max(depth, item.depth)
        return Sequence(tuple(items), *_place(event), size=size + 1, depth=depth + 1)

    def _mapping(self, event: yaml.MappingStartEvent, level: int) -> Mapping:
        self._check_tag(event, event.tag, frozenset({"map"}))
        if level >= _MAX_DEPTH:
            raise self._too_deep(event)
        own: dict[str, tuple[Scalar, Node]] = {}
        merged: dict[str, tuple[Scalar, Node]] = {}
        size = depth = 0
        for inner in self._events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key = self._node(inner, level + 1)
            value = self._node(next(self._events), level + 1)
            size += key.size + value.size
            depth = max(depth, key.depth, value.depth)
            if not isinstance(key, Scalar):
                self._note(inner, "expected a plain word as the key")
            elif key.plain and key.text == "<<":
                self._merge(key, value, merged)
            elif key.text in own:
                first = own[key.text][0]
                self._note(
                    inner,
                    f'the key "{key.text}" stands here a second time; '
                    f"the first is at line {first.line}, column {first.column}",
                )
            else:
                own[key.text] = (key, value)
        pairs = {**merged, **own}
        return Mapping(tuple(pairs.values()), *_place(event), size=size + 1, depth=depth + 1)

    def _merge(self, key: Scalar, value: Node, merged: dict[str, tuple[Scalar, Node]]) -> None:
        """Take in what ``<<: *anchor`` or ``<<: [*a, *b]`` names; the earlier one wins."""
        sources = value.items if isinstance(value, Sequence) else (value,)
        for source in sources:
            if isinstance(source, Mapping):
                for pair in source.pairs:
                    merged.setdefault(pair[0].text, pair)
            else:
                self._problems.append(
                    Problem(
                        self._file,
                        key.line,
                        key.column,
                        "<< takes in another mapping; expected an alias to one, such as *defaults",
                    )
                )

    def _check_tag(self, event: yaml.Event, tag: str | None, known: frozenset[str]) -> None:
        if tag is not None and tag != "!" and tag.removeprefix(_TAG_PREFIX) not in known:
            shown = tag.replace(_TAG_PREFIX, "!!")
            self._note(event, f"the tag {shown} is not allowed here; leave it out")

    def _note(self, event: yaml.Event, message: str) -> None:
        self._problems.append(Problem(self._file, *_place(event), message))

    def _too_much(self, event: yaml.Event, message: str) -> _TooMuchError:
        return _TooMuchError(Problem(self._file, *_place(event), message))

    def _too_deep(self, event: yaml.Event) -> _TooMuchError:
        return self._too_much(event, f"nested more than {_MAX_DEPTH} levels deep")


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None, "the parser marks every event"
    return mark.line + 1, mark.column + 1


def _at(file: str, before: str, message: str) -> Problem:
    """Return a problem that stands just behind ``before``, the text's beginning."""
    return Problem(
        file, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1, message
    )
