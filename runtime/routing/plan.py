"""Plans: which provider to try first, second, third, decided without a message."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtime.routing.group import Candidate, Group, Strategy
from runtime.routing.hedge_policy import Hedger
from runtime.routing.ordering import PANIC_INTERVAL, Place, Plan
from runtime.routing.outlook import Outlook, Ready
from runtime.routing.strategies import (
    AdaptivePlan,
    CostOptimizedPlan,
    FastestFirstPlan,
    HealthAwarePlan,
    LoadBalancedPlan,
    PriorityPlan,
    RoundRobinPlan,
)
from runtime.routing.turns import Cursors

__all__ = [
    "PANIC_INTERVAL",
    "STRATEGIES",
    "Candidate",
    "Group",
    "Outlook",
    "Place",
    "Plan",
    "Ready",
    "Strategy",
    "make_plan",
]

STRATEGIES: Final[Mapping[Strategy, type[Plan]]] = MappingProxyType(
    {
        "priority": PriorityPlan,
        "round_robin": RoundRobinPlan,
        "load_balanced": LoadBalancedPlan,
        "fastest_first": FastestFirstPlan,
        "health_aware": HealthAwarePlan,
        "cost_optimized": CostOptimizedPlan,
        "adaptive": AdaptivePlan,
    }
)
"""The plan that each strategy makes."""


def make_plan(
    group: Group, ready: Ready, before: Plan | None = None, *, outlook: Outlook | None = None
) -> Plan:
    """Return the plan of a group.

    Args:
        group: The group.
        ready: Tells whether a provider would take a request.
        before: The group's plan until now, whose turns are kept.
        outlook: What else to look at; None for nothing: no load, no times, full health.
    """
    cursors = Cursors() if before is None else before.cursors
    outlook = outlook or Outlook()
    settings = group.hedge
    if settings is None:
        cursors.hedger = None
    else:
        cursors.hedger = Hedger(settings, outlook.first_tokens, cursors.hedger)
        for member in group.members:
            outlook.first_tokens.of(member.provider, member.model).learn()
    return STRATEGIES[group.strategy](group, ready, outlook, cursors)
