"""`JobSettings`: the call and the options of a plain job, given by a client or restored from the store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowq import ids, signing
from flowq.dependency import Dependency
from flowq.durations import parse_times
from flowq.exceptions import NoSuchJobError, UsageError
from flowq.jobs.call import Call, function_of, storable
from flowq.jobs.options import JobOptions, parse_options
from flowq.repeat import Repeat
from flowq.retry import Retry
from flowq.serializers import resolve_serializer, serializer_name
from flowq.states import JobStatus
from flowq.store.schema.new_jobs import NewJob, check_payload

if TYPE_CHECKING:
    from flowq.jobs.state import JobState
    from flowq.store import Store

# The options that may change once a job is enqueued.
_SAVED: Final = (
    "description",
    "timeout",
    "result_ttl",
    "failure_ttl",
    "retry",
    "repeat",
)
_UNREADABLE: Final = "a call that cannot be decoded here"


class JobSettings:
    """The call, the options and the meta of one job. What was not given is restored from its state when it is asked for.

    Args:
        state: the job as the store has it.
        serializer: of call, result and meta; that of the stored job, or of the queue, unless given.
    """

    def __init__(self, state: "JobState", serializer: Any = None) -> None:
        self.serializer = resolve_serializer(serializer)
        self._serializer_given = serializer is not None
        self._state = state
        self._call: Call | None = None
        self._options: JobOptions | None = None
        self._default_timeout: float | None = None
        self._encoded: tuple[bytes, bytes] | None = None
        self._meta: dict[str, Any] | None = None
        self._changed: set[str] = set()
        # What was set of retries and repetitions before there were any.
        self._of_retry: dict[str, Any] = {}
        self._repeat_intervals: list[float] | None = None

    def give(self, call: Call, options: JobOptions) -> None:
        """Set the call and options that a client gave for a new job."""
        self._call, self._options, self._meta = call, options, dict(options.meta)
        self._state.is_new = True

    def reset(self) -> None:
        """Forget everything, given or restored, for the state that was just read."""
        self._call = self._options = self._meta = None
        self._changed.clear()
        if not self._serializer_given and self._state.record is not None:
            self.serializer = resolve_serializer(self._state.record.serializer)

    def bind(self, store: "Store", serializer: Any, queue: str, default_timeout: float) -> None:
        """Set the job's queue and its defaults; a job is bound when it is enqueued."""
        self._default_timeout = default_timeout
        if not self._serializer_given:
            self.serializer = serializer
        self._state.put_into(store, queue)

    # -- what it executes -----------------------------------------------------------------------------------------------------

    @property
    def call(self) -> Call:
        """The function and its arguments.

        Raises:
            NoSuchJobError: the job is gone.
            DeserializationError: the arguments cannot be decoded here.
            SignatureError: they are not signed with the key that is set here.
        """
        if self._call is None:
            state = self._state
            stored = state.payload if state.payload is not None else state.store.jobs.payload(state.id)
            if stored is None:
                raise NoSuchJobError(f"no job with the id {state.id!r}, or it is a job of a run, whose call is in the flow")
            fields = {} if state.record is None else state.record.fields
            plain = signing.unseal_call(stored, state.id, fields)
            self._call = Call.restored(plain, self.serializer, state.id)
        return self._call

    @property
    def call_text(self) -> str:
        """The call as text, as it was when the job was enqueued; reading it decodes no argument."""
        if self._call is not None:
            return str(self._call)
        record = self._state.record if self._state.record is not None else self._state.current()
        if record is not None and "call" in record.fields:
            return record.fields["call"]
        try:  # a job of a version that did not store it
            return str(self.call)
        except Exception:  # noqa: BLE001 - an argument may raise anything while it is decoded
            return _UNREADABLE

    @property
    def func_name(self) -> str:
        """The dotted name of the function; of a method its name."""
        return self._call.name if self._call is not None else function_of(self.call_text)

    # -- how it is treated ----------------------------------------------------------------------------------------------------

    @property
    def options(self) -> JobOptions:
        """All options that were given when it was made."""
        if self._options is None:
            state = self._state
            record = state.record if state.record is not None else state.current()
            if record is None:
                self._options = JobOptions()
            else:  # the edges of one that was saved and not enqueued; of any other job they are settled
                edges = state.store.jobs.edges(state.id) if record.status is JobStatus.CREATED else []
                self._options = JobOptions.restored(record.fields, edges)
        if self._options.timeout is None and self._default_timeout is not None:
            self._options = replace(self._options, timeout=self._default_timeout)
        return self._options

    @property
    def _given(self) -> JobOptions:
        """The options without the default of the queue: adding it to a record is dear, and few callers look at it."""
        return self.options if self._options is None else self._options

    @property
    def is_empty(self) -> bool:
        """Whether no call was given, and none has been read from the store."""
        return self._call is None and self._state.record is None

    def change(self, name: str, value: Any) -> None:
        """Change one option; `changes` returns it for the store.

        Raises:
            UsageError: the value is invalid.
        """
        self._options = replace(self.options, **{name: getattr(parse_options({name: value}), name)})
        self._changed.add(name)

    @property
    def changed(self) -> bool:
        """Whether something was changed here that is not saved."""
        return bool(self._changed)

    def changes(self) -> dict[str, str]:
        """Return the fields of the store that were changed here since the last time; an empty text removes one."""
        fields = self.options.fields()
        names = [name for name in _SAVED if name in self._changed]
        self._changed.clear()
        return {name: fields.get(name, "") for name in names}

    @property
    def retries_used(self) -> int:
        """How often the job was executed again after a failure."""
        record = self._state.current()
        return 0 if record is None else max(0, record.granted - record.returns)

    @property
    def repetitions(self) -> int:
        """How often the job was executed again after a success."""
        record = self._state.current()
        return 0 if record is None else record.repeated

    def change_call(self, **changes: Any) -> None:
        """Change the function or its arguments, of a job that is not enqueued yet.

        Raises:
            UsageError: it is enqueued already.
        """
        self._expect_new("arguments")
        self._call = replace(self.call, **changes)

    def change_new(self, name: str, value: Any) -> None:
        """Change an option of a job that is not enqueued yet.

        Raises:
            UsageError: it is enqueued already, or the value is invalid.
        """
        self._expect_new(name)
        self.change(name, value)

    def allow_failures(self, allow: bool) -> None:
        """Change whether the jobs that it depends on may fail, of a job that is not enqueued yet.

        Raises:
            UsageError: it is enqueued already.
        """
        self._expect_new("dependencies")
        changed = [Dependency(item.dependencies, allow, item.enqueue_at_front) for item in self.options.depends_on]
        self._options = replace(self.options, depends_on=tuple(changed))

    def _expect_new(self, what: str) -> None:
        if not self._state.is_new:
            raise UsageError(f"the {what} of job {self._state.id} cannot be changed: it is stored already")

    @property
    def repeat_intervals(self) -> list[float] | None:
        """The waits before the repetitions that are left."""
        if self.options.repeat is None:
            return self._repeat_intervals
        return self.options.repeat.intervals_after(self.repetitions)

    def change_repeat_intervals(self, value: Any) -> None:
        """Change the waits before the repetitions that are left. Without repetitions, they hold once `repeats_left` is set.

        Raises:
            UsageError: not a number or numbers.
        """
        intervals = Repeat(1, value).intervals
        former = self.options.repeat
        if former is None:
            self._repeat_intervals = intervals
            return
        passed = former.intervals_before(self.repetitions)
        self._options = replace(self.options, repeat=Repeat(former.times, [*passed, *intervals]))
        self._changed.add("repeat")

    def change_repeats_left(self, value: int | None) -> None:
        """Change how often it will be executed again after a success; None is 0.

        Raises:
            UsageError: no number of at least 0.
        """
        value = 0 if value is None else parse_times(value, "repeats_left", least=0)
        former = self.options.repeat or Repeat(1, self._repeat_intervals)
        self._options = replace(self.options, repeat=Repeat(self.repetitions + value, former.intervals) if value else None)
        self._changed.add("repeat")

    def conditions(self) -> list[str]:
        """Return the conditions on the ends of the jobs that it depends on."""
        edges = self.options.edges if self._state.is_new else self._state.store.jobs.edges(self._state.id)
        return [condition for _, condition in edges]

    def forget_ended_parent(self, parent: str) -> bool:
        """Take a parent whose record is gone out of the dependencies, if the client gave the job itself and that had been enqueued.

        Such a job has ended and its record expired: the dependency is met. Return whether it was taken out.
        """
        kept = [dependency.without_ended(parent) for dependency in self.options.depends_on]
        ids = [job for dependency in kept if dependency is not None for job in dependency.ids]
        if parent in ids:
            return False
        self._options = replace(self.options, depends_on=tuple(item for item in kept if item is not None))
        return True

    def change_retries_left(self, value: int | None) -> None:
        """Change how often it will be executed again after a failure; None is 0.

        Raises:
            UsageError: no number of at least 0.
        """
        value = 0 if value is None else parse_times(value, "retries_left", least=0)
        former = self.options.retry or Retry(1, **self._of_retry)
        retry = Retry(self.retries_used + value, former.intervals, former.enqueue_at_front) if value else None
        self._options = replace(self.options, retry=retry)
        self._changed.add("retry")

    def of_retry(self, part: str) -> Any:
        """Return `intervals` or `enqueue_at_front` of its retries, None without retries."""
        if self.options.retry is None:
            return self._of_retry.get("interval" if part == "intervals" else part)
        return getattr(self.options.retry, part)

    def change_retry(self, *, intervals: Any = None, enqueue_at_front: bool | None = None) -> None:
        """Change the intervals of its retries, or whether they go to the front. Without retries, it holds once `retries_left` is set.

        Raises:
            UsageError: not a number or numbers.
        """
        changes = {
            **({} if intervals is None else {"interval": Retry(1, intervals).intervals}),
            **({} if enqueue_at_front is None else {"enqueue_at_front": bool(enqueue_at_front)}),
        }
        former = self.options.retry
        if former is None:
            self._of_retry |= changes
            return
        parts: dict[str, Any] = {"interval": former.intervals, "enqueue_at_front": former.enqueue_at_front} | changes
        self._options = replace(self.options, retry=Retry(former.max, **parts))
        self._changed.add("retry")

    # -- meta -----------------------------------------------------------------------------------------------------------------

    @property
    def meta(self) -> dict[str, Any]:
        """A dictionary of the user's own."""
        if self._meta is None:
            stored = self._state.meta
            return self.load_meta() if stored is None else self._decode(stored)
        return self._meta

    @meta.setter
    def meta(self, value: Mapping[str, Any]) -> None:
        self._meta = dict(value)

    @property
    def has_meta(self) -> bool:
        """Whether meta was given or read here, so that it may differ from what is stored."""
        return self._meta is not None

    def load_meta(self) -> dict[str, Any]:
        """Read the stored meta."""
        stored = self._state.store.jobs.meta(self._state.id)
        self._meta = {} if stored is None else self._decode(stored)
        return self._meta

    def _decode(self, stored: bytes) -> dict[str, Any]:
        self._meta = dict(self.serializer.loads(signing.unseal(stored, "meta of job", self._state.id)))
        return self._meta

    # -- as it is stored ------------------------------------------------------------------------------------------------------

    def payload(self) -> bytes:
        """Return the function and its arguments as stored.

        Raises:
            UsageError: an argument cannot be serialized.
        """
        data = self.call.stored(self.serializer)
        return signing.seal(data, *signing.payload_context(self._state.id, self.fields())) if signing.is_on() else data

    def fields(self) -> Mapping[str, str]:
        """Return the stored fields of the options, the same mapping for jobs that share them."""
        options, name = self._given, serializer_name(self.serializer)
        fields = options.fields(self._default_timeout)
        if not (name or options.webhooks):
            return fields
        of_webhooks = {"func": self.func_name} if options.webhooks else {}  # so that they need not decode the payload
        return {**fields, **of_webhooks, **({"serializer": name} if name else {})}

    def stored_meta(self) -> bytes:
        """Return `meta` as bytes.

        Raises:
            UsageError: it cannot be serialized.
        """
        try:
            data = self.serializer.dumps(self.meta)
            plain = data.encode() if isinstance(data, str) else bytes(data)
        except Exception as error:  # a user's __reduce__ may raise anything
            raise UsageError(f"the meta of job {self._state.id} cannot be serialized: {error}") from error
        return signing.seal(plain, "meta of job", self._state.id)

    def encode(self) -> tuple[bytes, bytes]:
        """Encode and return the call and the meta for the next `new_job`, which cannot fail then.

        Raises:
            UsageError: an argument or the meta cannot be serialized.
            TooLargeError: the call is over `defaults.MAX_PAYLOAD`.
        """
        serializer_name(self.serializer)
        payload = self.payload()
        check_payload(self._state.id, payload)
        self._encoded = payload, self.stored_meta() if self.meta else b""
        return self._encoded

    def take_encoded(self, call: bytes) -> None:
        """Take the call as it is stored, of a job without meta and signature, for the next `new_job`."""
        self._encoded = call, b""

    def new_job(self, *, due_ms: int = -1, front: bool = False, unique: bool = False, nonce: str = "") -> NewJob:
        """Describe the job for the store, on the queue that it was bound to.

        Args:
            nonce: of the request, if other jobs are part of it.
            due_ms: the server's time before which it is not queued, or -1.
            front: put it at the front of its queue, also where its options do not say so.
            unique: refuse an id that is taken, likewise.

        Raises:
            UsageError, TooLargeError: as of `encode`.
        """
        payload, meta = self._encoded or self.encode()
        self._encoded, options = None, self._given
        return NewJob(
            id=self._state.id,
            queue=self._state.queue,
            payload=payload,
            nonce=nonce or ids.nonce(),
            unique=unique or options.unique,
            due_ms=due_ms,
            front=front or options.front,
            parents=options.edges,
            call=storable(self.call_text),
            fields=self.fields(),
            meta=meta,
            group=options.group_id or "",
            coming=options.coming,
        )
