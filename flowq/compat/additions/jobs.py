"""Names of RQ's jobs, queues and registries. Names of keys are texts under which nothing is stored."""

from typing import Any, Final, Self

from flowq import job as job_module
from flowq.compat.additions import add, add_constants
from flowq.job import Job
from flowq.queue import Queue
from flowq.registry import BaseRegistry
from flowq.states import JobStatus


def _callback(option: str) -> property:
    """Return a property with the name of a callback of a job, None where it has none."""

    def name(job: Job) -> str | None:
        callback = getattr(job.options, option)
        return None if callback is None else callback.name

    return property(name)


UNEVALUATED: Final = object()
"""In place of what a job was not given."""


class _JobNames(Job):
    redis_job_namespace_prefix = "rq:job:"

    @property
    def key(self) -> str:
        """What RQ calls its key."""
        return self.key_for(self.id)

    @classmethod
    def key_for(cls, job_id: str) -> str:
        """Return what RQ calls the key of a job."""
        return f"rq:job:{job_id}"

    @property
    def _exc_info(self) -> str | None:
        return self.exc_info

    @property
    def _dependency_id(self) -> str | None:
        ids = self.dependency_ids
        return ids[0] if ids else None

    @property
    def _status(self) -> JobStatus:
        """Its status as it was read last, or as it was set here: instrumentations look at it while an exception is handled."""
        return self.get_status(refresh=False)

    @_status.setter
    def _status(self, status: JobStatus) -> None:
        self.state.show(status)

    @property
    def enqueue_at_front(self) -> bool:
        """Whether it goes to the front of its queue; can be set until it is enqueued."""
        return self.options.at_front

    @enqueue_at_front.setter
    def enqueue_at_front(self, front: bool | None) -> None:
        self.settings.change("at_front", bool(front))

    _success_callback_name = _callback("on_success")
    _failure_callback_name = _callback("on_failure")
    _stopped_callback_name = _callback("on_stopped")


class _QueueNames(Queue):
    redis_queue_namespace_prefix = "rq:queue:"
    redis_queues_keys = "rq:queues"

    @property
    def key(self) -> str:
        """What RQ calls its key."""
        return f"rq:queue:{self.name}"

    @property
    def registry_cleaning_key(self) -> str:
        """What RQ calls the key of the lock for its clean-up."""
        return f"rq:clean_registries:{self.name}"

    @classmethod
    def from_queue_key(cls, queue_key: str, connection: Any = None, **options: Any) -> Self:
        """Return the queue of what RQ calls its key.

        Raises:
            ValueError: it is not the key of a queue.
        """
        if not queue_key.startswith("rq:queue:"):
            raise ValueError(f"expected a key that begins with rq:queue:, found {queue_key!r}")
        return cls(queue_key.removeprefix("rq:queue:"), connection=connection, **options)

    @property
    def _is_async(self) -> bool:
        return self.is_async

    @_is_async.setter
    def _is_async(self, value: bool) -> None:
        self.is_async = value

    @property
    def _default_timeout(self) -> float:
        return self.default_timeout

    def setup_dependencies(self, job: Job, pipeline: Any = None) -> Job:  # noqa: ARG002 - RQ's signature
        """Return the job: dependencies are set up in the step that enqueues it."""
        return job

    def _enqueue_job(self, job: Job, pipeline: Any = None, at_front: bool = False) -> Job:
        return self.enqueue_job(job, pipeline=pipeline, at_front=at_front)


class _RegistryNames(BaseRegistry):
    @property
    def key(self) -> str:
        """What RQ calls its key."""
        return f"rq:{self.status}:{self.name}"


add(Job, _JobNames)
add(Queue, _QueueNames)
add(BaseRegistry, _RegistryNames)
add_constants(job_module, {"UNEVALUATED": UNEVALUATED})
