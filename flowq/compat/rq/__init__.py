"""The module `rq` itself, and the modules of RQ that flowq has no other use for.

What RQ documents of them works; the parts of RQ's machinery that flowq does in another way do nothing, and say so.
"""

from importlib import import_module
from typing import Any

import flowq
from flowq.compat.modules import home_of
from flowq.compat.rq.version import VERSION

__version__ = VERSION
__all__ = [
    "Callback",
    "Queue",
    "RateLimit",
    "Repeat",
    "Retry",
    "SimpleWorker",
    "SpawnWorker",
    "Webhook",
    "Worker",
    "cancel_job",
    "get_current_job",
    "requeue_job",
]

_MODULES = {"Callback": "callbacks", "Queue": "queue", "RateLimit": "rate_limit", "Repeat": "repeat", "Webhook": "webhook"}
_MODULES |= dict.fromkeys(("Retry", "cancel_job", "get_current_job", "requeue_job"), "job")
_MODULES |= dict.fromkeys(("SimpleWorker", "SpawnWorker", "Worker"), "worker")


def __getattr__(name: str) -> Any:
    """Import public names, and modules that nothing has imported yet: `import rq` loads all of them in RQ."""
    if name in _MODULES:
        import_module(f"rq.{_MODULES[name]}")
        return getattr(flowq, name)
    if home_of(name) is not None:
        return import_module(f"rq.{name}")
    raise AttributeError(f"module 'rq' (flowq.compat) has no attribute {name!r}")
