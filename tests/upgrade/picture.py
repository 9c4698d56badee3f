"""Jobs, queues and runs as JSON, recorded when the data was written and compared with today's.

Only documented names are used, so that the module works with the flowq that wrote the data and with today's.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import flowq

_ATTRIBUTES: Final = (
    *("id", "origin", "func_name", "args", "kwargs", "description", "meta", "group_id", "dependency_ids", "dependent_ids"),
    *("timeout", "result_ttl", "ttl", "failure_ttl", "number_of_retries", "retries_left", "retry_intervals"),
    *("repeats_left", "repeat_intervals", "rate_limit_key", "rate_limit_concurrency"),
    *("success_callback_timeout", "failure_callback_timeout", "stopped_callback_timeout"),
    *("created_at", "enqueued_at", "started_at", "ended_at", "worker_name", "skip_reason", "result", "exc_info"),
)
_REGISTRIES: Final = ("started", "finished", "failed", "deferred", "scheduled", "canceled")


def describe_job(job: "flowq.Job") -> dict[str, Any]:
    """Return every attribute of a job."""
    return {
        "status": "skipped" if job.is_skipped else str(job.get_status()),
        "position": job.get_position(),
        "callbacks": {name: _callback(job, name) for name in ("on_success", "on_failure", "on_stopped")},
        "webhooks": [[hook.url, str(hook.job_status), hook.method, hook.headers, hook.timeout] for hook in job.webhooks],
        "results": [[result.execution, result.type.name, plain(result.created_at)] for result in job.results()],
        **{name: plain(getattr(job, name)) for name in _ATTRIBUTES},
    }


def describe_queue(queue: "flowq.Queue") -> dict[str, Any]:
    """Return the ids of a queue's jobs by registry."""
    registries = {name: getattr(queue, f"{name}_job_registry") for name in _REGISTRIES}
    return {
        "queued": [job for job in queue.job_ids if job != "expiring"],  # not listed after its ttl has passed
        **{name: sorted(registry.get_job_ids()) for name, registry in registries.items()},
        "counts": {name: registry.count for name, registry in registries.items()},
    }


def describe_queues(queues: "Iterable[flowq.Queue]") -> dict[str, Any]:
    """Return `describe_queue` of each, by name."""
    return {queue.name: describe_queue(queue) for queue in queues}


def plain(value: Any) -> Any:
    """Return a value as JSON; a time keeps its type."""
    if isinstance(value, datetime):
        return {"datetime": value.isoformat()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


def lasting(document: Any) -> Any:
    """Return a JSON document of the command line without values that depend on the time of reading.

    These are the duration of an active run or job, and reasons that depend on the current workers.
    """
    if isinstance(document, list):
        return [lasting(item) for item in document]
    if not isinstance(document, dict):
        return document
    left_out = {"duration"} if "ended_at" in document and document["ended_at"] is None else set()
    if document.get("status") == "started" or document.get("reason") in {"no_worker", "suspended"}:
        left_out.add("reason")
    return {name: lasting(item) for name, item in document.items() if name not in left_out}


def _callback(job: "flowq.Job", name: str) -> str | None:
    callback = getattr(job.options, name)
    return None if callback is None else str(callback.name)
