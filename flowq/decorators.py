"""`@job`: a function that is enqueued with `function.delay(...)`."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from flowq.dotted_names import load_class
from flowq.job import Job
from flowq.queue import Queue

_Params = ParamSpec("_Params")
_Return_co = TypeVar("_Return_co", covariant=True)
_AT_CALL = ("depends_on", "job_id", "at_front")


class JobFunction(Protocol[_Params, _Return_co]):
    """A function with `@job`, as type checkers see it."""

    __name__: str
    __qualname__: str

    def __call__(self, *args: _Params.args, **kwargs: _Params.kwargs) -> _Return_co:
        """Call the function here."""

    # `Any`: options of the job may stand beside the arguments of the function.
    def delay(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call of the function."""

    def enqueue(self, *args: Any, **kwargs: Any) -> Job:
        """Enqueue a call of the function."""


class job:  # noqa: N801 - the name that users of RQ know
    """Give a function the methods `delay` and `enqueue`, which are the same: each puts a call of it on a queue and returns the `Job`.

    Args:
        queue: a queue, or its name.
        connection: a redis-py client, for a name; without one the configured server.
        timeout: seconds one execution may take, or text such as "1h".
        queue_class: for a name; `Queue` otherwise.
        **options: `result_ttl`, `ttl`, `failure_ttl`, `depends_on`, `at_front`, `meta`, `description`, `retry`, `repeat`, `on_success`,
            `on_failure`, `on_stopped`, `rate_limit`, `webhooks`, as of `Queue.enqueue`. `depends_on`, `job_id` and `at_front` may be given to `delay` as well.

    Its options are checked when a call of it is enqueued.

    Example:
        >>> @job("low", timeout=5)
        ... def add(x, y):
        ...     return x + y
        >>> add.delay(3, 4).id
    """

    queue_class: type[Queue] = Queue

    def __init__(
        self,
        queue: Queue | str,
        connection: Any = None,
        timeout: float | str | None = None,
        *,
        queue_class: Any = None,
        **options: Any,
    ) -> None:
        self.queue = queue
        self.connection = connection
        self.timeout = timeout
        self.options = options
        if queue_class is not None:
            self.queue_class = load_class(queue_class, Queue)

    def __call__(self, function: Callable[_Params, _Return_co]) -> JobFunction[_Params, _Return_co]:
        """Return the function with its `delay`, also as `enqueue`."""
        # A function inside another one can be enqueued by its name, for workers that define it otherwise.
        name = getattr(function, "__qualname__", "")
        target: Any = f"{function.__module__}.{name}" if "<locals>" in name else function

        def delay(*args: Any, **kwargs: Any) -> Job:
            options = {**self.options, **{name: kwargs.pop(name) for name in _AT_CALL if name in kwargs}}
            queue = self.queue_class(self.queue, self.connection) if isinstance(self.queue, str) else self.queue
            # Whole, so that the function's own arguments may be named like options.
            return queue.enqueue(target, args=args, kwargs=kwargs, job_timeout=self.timeout, **options)

        update_wrapper(delay, function)
        function.delay = function.enqueue = delay  # type: ignore[attr-defined] # this is what the decorator is for
        return cast("JobFunction[_Params, _Return_co]", function)
