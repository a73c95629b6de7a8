"""redis-quota for Python: rate limits, quotas and credits that a Redis server with quota.so decides.

    your service ── redis_quota ──▶ redis-py ──▶ redis-server + quota.so

    quota = Quota(redis.Redis())
    if quota.allow("user:42", "10 1s"):
        ...

Nothing is decided here but what `on_error="local"` names: the server's reply is the answer. A name is imported when it
is used: quotactl, which is part of this package, starts without redis-py.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import AsyncQuota, Quota
    from .core import AUTO, new_id
    from .decorator import limited
    from .errors import (
        BadCommand,
        Denied,
        IdConflict,
        Limited,
        NoAccount,
        NoKey,
        NoPlan,
        NoPolicy,
        NoResource,
        NoScope,
        NoSuchId,
        NotStarted,
        OutOfMemory,
        Overflow,
        QuotaError,
        RefundExceeds,
        Resolved,
        SameAccount,
        Suspended,
        TryAgain,
        Unavailable,
        Unblocked,
        WrongType,
    )
    from .verdict import Event, Granted, Leased, Refunded, Settled, Verdict

__all__ = [
    "AUTO", "AsyncQuota", "BadCommand", "Denied", "Event", "Granted", "IdConflict", "Leased", "Limited", "NoAccount",
    "NoKey", "NoPlan", "NoPolicy", "NoResource", "NoScope", "NoSuchId", "NotStarted", "OutOfMemory", "Overflow",
    "Quota", "QuotaError", "RefundExceeds", "Refunded", "Resolved", "SameAccount", "Settled", "Suspended", "TryAgain",
    "Unavailable", "Unblocked", "Verdict", "WrongType", "limited",
    "new_id",
]

WHERE = {
    "client": "AsyncQuota Quota", "core": "AUTO new_id", "decorator": "limited",
    "verdict": "Event Granted Leased Refunded Settled Verdict"}
MODULE_OF = {name: module for module, names in WHERE.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    """The names of __all__; those that no other module has are errors."""
    if name not in __all__:
        raise AttributeError(f"redis_quota has no {name}")
    return getattr(importlib.import_module(f".{MODULE_OF.get(name, 'errors')}", __name__), name)
