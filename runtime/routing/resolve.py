"""From the model name in a request to the candidates that may answer it.

A name is looked up among the aliases, then the groups, then as ``provider/model``, and last among
the models that providers list. What was found for a name is kept, so that a request costs a
look-up; the plans behind it stay the failover manager's and change under the same name. Anything
may follow a provider's name, so that only so many are kept, and none longer than names are.
"""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import msgspec

from providers.patterns import is_pattern
from providers.wire import DIALECTS, Dialect, OperationName
from runtime.routing.hedge_policy import Hedger
from runtime.routing.plan import Candidate, Group, Plan
from runtime.routing.route import Member, Route, Target, UnroutableError
from runtime.routing.wishes import Wishes
from supervision import Table

__all__ = ["Resolver"]

_REMEMBERED = 4096
"""Names kept; then all are forgotten, because names come from askers and could be anything."""


_LONGEST_NAME = 200
"""Characters of an unknown name that are compared and repeated, and of a known one that is kept:
a body may be all name."""


_NO_WISHES = Wishes()


class Resolver:
    """Looks model names up.

    Args:
        aliases: The configured aliases.
        groups: The configured groups, in the order they are shown.
        members: The configured providers, in the order they are shown.
        plans: The published plans of the groups.
        attempts: Exchanges at most for a name that is no group.
    """

    def __init__(
        self,
        *,
        aliases: Mapping[str, Target],
        groups: Mapping[str, Group],
        members: Mapping[str, Member],
        plans: Table[str, Plan],
        attempts: int,
    ) -> None:
        self._aliases = aliases
        self._groups = groups
        self._members = members
        self._plans = plans
        self._attempts = attempts
        self._found: dict[tuple[str, OperationName], Route] = {}
        self._wished: dict[tuple[str, OperationName, Wishes], Route] = {}

    def resolve(
        self,
        model: str,
        operation: OperationName = "chat",
        wishes: Wishes | None = None,
    ) -> Route:
        """Return where a request goes.

        Args:
            model: The model named in it.
            operation: What it asks for. Chat is translated for providers of other APIs; anything
                else goes to those only whose API has it.
            wishes: What the asker wishes besides; None for nothing.

        Raises:
            UnroutableError: When no provider can be asked: an unknown name, one whose providers'
                APIs lack the operation, or one whose providers are not configured; or when the
                wishes name an unknown group or provider, or what does not go together.
        """
        if wishes is not None and wishes != _NO_WISHES:
            return self._fulfil(wishes, model, operation)
        route = self._found.get((model, operation))
        if route is None:
            route = self._look_up(model, operation)
            if len(model) > _LONGEST_NAME:
                return route
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[model, operation] = route
        return route

    def candidates(self, model: str) -> Sequence[Candidate]:
        """Return everybody behind a name, whatever API they speak and whether configured or not.

        Args:
            model: Any name that a request may ask for.

        Raises:
            UnroutableError: No request can ask for it.
        """
        alias = self._aliases.get(model)
        if alias is not None and alias.provider is not None:
            return [Candidate(alias.provider, alias.model)]
        group = self._groups.get(model if alias is None else alias.group or "")
        return self._candidates(model) if group is None else group.members

    def owner(self, model: str) -> str:
        """Return who stands behind a name: a provider, or ``standby`` for aliases and groups.

        Args:
            model: Any name that a request may ask for.

        Raises:
            UnroutableError: No request can ask for it.
        """
        if model in self._aliases or model in self._groups:
            return "standby"
        return self._configured(model, self._candidates(model))[0].provider

    def add_group(self, group: Group) -> None:
        """Know a further group, or another one of the same name.

        Args:
            group: The group; its plan is published.
        """
        self._groups = {**self._groups, group.name: group}
        self.forget()

    def forget(self) -> None:
        """Look every name up anew: the providers are others than before."""
        self._found.clear()
        self._wished.clear()

    def names(self) -> dict[str, str]:
        """Return every name that can be asked for and who stands behind it, aliases first.

        Patterns are not names and are left out.
        """
        found = dict.fromkeys(self._aliases, "standby")
        found.update(dict.fromkeys(self._groups, "standby"))
        for name, member in self._members.items():
            if member.interface is not None:
                for model in member.interface.settings.models:
                    if not is_pattern(model):
                        found.setdefault(model, name)
        return found

    def _fulfil(self, wishes: Wishes, model: str, operation: OperationName) -> Route:
        """Return where a request with wishes goes."""
        route = self._wished.get((model, operation, wishes))
        if route is None:
            route = self._narrowed(self._wanted(wishes, model, operation), wishes)
            if len(model) > _LONGEST_NAME:
                return route
            if len(self._wished) >= _REMEMBERED:
                self._wished.clear()
            self._wished[model, operation, wishes] = route
        return route

    def _wanted(self, wishes: Wishes, model: str, operation: OperationName) -> Route:
        """Return the way to the group and the provider that are wished for."""
        provider = wishes.provider
        if provider is not None and provider not in self._members:
            message = f"unknown provider {_unknown(provider, self._members)}"
            raise UnroutableError(404, message, "unknown_provider", "provider")
        if wishes.group is not None:
            alias = self._aliases.get(wishes.group)
            group = (alias and alias.group) or wishes.group
            if group not in self._groups and (alias is None or alias.group is None):
                message = f"unknown group {_unknown(wishes.group, self._groups)}"
                raise UnroutableError(404, message, "unknown_group", "group")
            return self._group(group, operation, provider)
        if provider is None:
            return self.resolve(model, operation)
        return self._only(provider, model, operation)

    def _only(self, provider: str, model: str, operation: OperationName) -> Route:
        """Return the way to one provider for a model name that others may stand behind, too."""
        alias = self._aliases.get(model)
        group = model if alias is None else alias.group
        if group is not None and group in self._groups:
            if any(member.provider == provider for member in self._groups[group].members):
                return self._group(group, operation, provider)
            named = f"is a group without {provider}; its members are {self._listed(group)}"
        elif group is not None and alias is not None:
            return self._group(group, operation)  # says that it is disabled
        elif alias is not None and alias.provider is not None:
            if alias.provider == provider:
                return self._fixed(model, [Candidate(provider, alias.model)], operation)
            named = f"is a model of provider {alias.provider}, not of {provider}"
        else:
            other, slash, rest = model.partition("/")
            if not (slash and rest and other in self._members):
                return self._fixed(model, [Candidate(provider, model)], operation)
            if other == provider:
                return self._fixed(model, [Candidate(provider, rest)], operation)
            named = f"is a model of provider {other}, not of {provider}"
        interface = self._members[provider].interface
        if interface is None or not interface.serves(model):
            message = f"model {model!r} {named}"
            raise UnroutableError(400, message, "wishes_conflict", "provider")
        return self._fixed(model, [Candidate(provider, model)], operation)

    def _narrowed(self, route: Route, wishes: Wishes) -> Route:
        """Return a route with no more attempts than are wished for, and no stand-ins if none."""
        order = route.order

        def first(now: float) -> Sequence[Candidate]:
            return order(now)[:1]

        most, broken, translation = (
            wishes.max_attempts,
            wishes.on_broken_stream,
            wishes.translation,
        )
        return msgspec.structs.replace(
            route,
            order=order if wishes.failover else first,
            max_attempts=route.max_attempts if most is None else min(most, route.max_attempts),
            resume=route.resume if broken is None else broken == "resume",
            strict_translation=route.strict_translation
            if translation is None
            else translation == "strict",
        )

    def _listed(self, group: str) -> str:
        return ", ".join(dict.fromkeys(member.provider for member in self._groups[group].members))

    def _look_up(self, model: str, operation: OperationName) -> Route:
        alias = self._aliases.get(model)
        if alias is not None:
            if alias.group is not None:
                return self._group(alias.group, operation)
            assert alias.provider is not None
            if alias.provider not in self._members:
                message = f"model {model!r} is of provider {alias.provider}, which is disabled"
                raise UnroutableError(503, message, "not_configured")
            candidates: Sequence[Candidate] = [Candidate(alias.provider, alias.model)]
            return self._fixed(model, candidates, operation)
        if model in self._groups:
            return self._group(model, operation)
        return self._fixed(model, self._candidates(model), operation)

    def _candidates(self, model: str) -> Sequence[Candidate]:
        """Return the providers behind a name that is neither alias nor group; at least one."""
        provider, slash, rest = model.partition("/")
        if slash and rest and provider in self._members:
            return [Candidate(provider, rest)]
        listing = [
            Candidate(name, model)
            for name, member in self._members.items()
            if member.interface is not None and member.interface.serves(model)
        ]
        if not listing:
            raise UnroutableError(404, self._unknown(model), "model_not_found")
        return listing

    def _group(self, group: str, operation: OperationName, only: str | None = None) -> Route:
        """Return the way to a group, or to one provider of it."""
        if group not in self._groups:
            message = f"all providers of group {group!r} are disabled in the configuration"
            raise UnroutableError(503, message, "not_configured")
        settings = self._groups[group]
        members = [each for each in settings.members if only is None or each.provider == only]
        if not members:
            message = f"group {group!r} has no member {only}; its members are {self._listed(group)}"
            raise UnroutableError(400, message, "wishes_conflict", "provider")
        usable = self._usable(group, members, operation)
        part = frozenset(candidate.provider for candidate in usable)
        plans = self._plans

        def order(now: float) -> Sequence[Candidate]:
            return plans[group].within(part).order(now)

        def hedge() -> Hedger | None:
            return plans[group].hedger

        return Route(
            group=group,
            order=order,
            max_attempts=settings.max_attempts,
            timeouts=settings.timeouts,
            hedge=None if settings.hedge is None else hedge,
            resume=settings.on_broken_stream == "resume",
            strict_translation=settings.translation == "strict",
        )

    def _fixed(
        self,
        model: str,
        candidates: Sequence[Candidate],
        operation: OperationName,
    ) -> Route:
        usable = self._usable(model, candidates, operation)

        def order(_now: float) -> Sequence[Candidate]:
            return usable

        return Route(group=None, order=order, max_attempts=self._attempts)

    def _usable(
        self,
        model: str,
        candidates: Sequence[Candidate],
        operation: OperationName,
    ) -> Sequence[Candidate]:
        """Return the candidates that are configured and can do it; at least one."""
        able = candidates
        if operation != "chat":
            able = [c for c in able if self._can(c.provider, operation)]
        if not able:
            others = sorted({self._api(c.provider).name for c in candidates})
            raise UnroutableError(
                400,
                f"model {model!r} is served by providers of the {' and '.join(others)} API only, "
                f"which has no {operation}; name a model of another one",
                "operation_not_served",
            )
        return self._configured(model, able)

    def _api(self, provider: str) -> Dialect:
        """Return the dialect that a provider speaks, or would if it were configured."""
        return DIALECTS[self._members[provider].dialect]

    def _can(self, provider: str, operation: OperationName) -> bool:
        """Tell whether a provider has an operation, in whatever API of those it speaks."""
        interface = self._members[provider].interface
        spoken = [self._api(provider)] if interface is None else interface.spoken.values()
        return any(operation in dialect.operations for dialect in spoken)

    def _configured(self, model: str, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
        """Return the candidates that are configured; at least one."""
        usable = [c for c in candidates if self._members[c.provider].interface is not None]
        if not usable:
            lacking = "; ".join(
                f"{c.provider}: {self._members[c.provider].missing}" for c in candidates
            )
            raise UnroutableError(
                503, f"no provider of model {model!r} is configured: {lacking}", "not_configured"
            )
        return usable

    def _unknown(self, model: str) -> str:
        there_is = "GET /v1/models lists what there is"
        return f"unknown model {_unknown(model, self.names(), there_is)}"


def _unknown(name: str, known: Iterable[str], there_is: str | None = None) -> str:
    """Return an unknown name and what may have been meant, or what there is."""
    known = list(known)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}..."
    close = get_close_matches(name, known, n=3)
    if close:
        return f"{name!r}; did you mean {' or '.join(repr(each) for each in close)}?"
    return f"{name!r}; {there_is or 'there is ' + (', '.join(known) or 'none')}"
