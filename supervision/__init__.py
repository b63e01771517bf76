"""OTP on trio: actors, supervisors, registry, reports. Knows nothing of HTTP or of LLMs.

``docs/supervision.md`` is the way in.
"""

from supervision.actor import IGNORE, Actor, Continue, Down, Ignore, Monitor
from supervision.boot import open_system
from supervision.calls import NO_REPLY, PendingCall
from supervision.errors import (
    ActorDown,
    AdminError,
    AlreadyOwned,
    AlreadyPresent,
    AlreadyStarted,
    CallCycle,
    CallingSelf,
    CallTimeout,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    MailboxFull,
    MaxChildren,
    NoProcess,
    PoisonMessage,
    SpecError,
    StartFailed,
    SupervisionError,
    SystemDown,
)
from supervision.handles import ChildCounts, ChildInfo, SupervisorHandle
from supervision.intensity import Backoff
from supervision.job_stream import JobOutcome, JobStream
from supervision.jobs import Job
from supervision.published import Published, PublishedWriter, Table, TableWriter
from supervision.reasons import Reason, Shutdown, describe_reason, is_orderly, root_causes
from supervision.refs import Ref
from supervision.registry import (
    AlreadyRegistered,
    Registration,
    Registry,
    RegistryEntry,
    RegistryEvent,
)
from supervision.reports import Report, Reports
from supervision.signals import stop_on_signal
from supervision.specs import ChildSpec, dynamic_supervisor, supervisor
from supervision.system import System
from supervision.task_process import TaskContext
from supervision.timers import Timer
from supervision.tree import MailboxView, RestartBudget, TreeNode

__all__ = [
    "IGNORE",
    "NO_REPLY",
    "Actor",
    "ActorDown",
    "AdminError",
    "AlreadyOwned",
    "AlreadyPresent",
    "AlreadyRegistered",
    "AlreadyStarted",
    "Backoff",
    "CallCycle",
    "CallTimeout",
    "CallingSelf",
    "ChildCounts",
    "ChildInfo",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildSpec",
    "Continue",
    "Down",
    "Ignore",
    "Job",
    "JobOutcome",
    "JobStream",
    "MailboxFull",
    "MailboxView",
    "MaxChildren",
    "Monitor",
    "NoProcess",
    "PendingCall",
    "PoisonMessage",
    "Published",
    "PublishedWriter",
    "Reason",
    "Ref",
    "Registration",
    "Registry",
    "RegistryEntry",
    "RegistryEvent",
    "Report",
    "Reports",
    "RestartBudget",
    "Shutdown",
    "SpecError",
    "StartFailed",
    "SupervisionError",
    "SupervisorHandle",
    "System",
    "SystemDown",
    "Table",
    "TableWriter",
    "TaskContext",
    "Timer",
    "TreeNode",
    "describe_reason",
    "dynamic_supervisor",
    "is_orderly",
    "open_system",
    "root_causes",
    "stop_on_signal",
    "supervisor",
]
