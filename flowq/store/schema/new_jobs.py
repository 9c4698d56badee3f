"""Requests to create plain jobs, and their form as arguments of scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import field

from flowq import defaults
from flowq.exceptions import TooLargeError
from flowq.plan.bulk import nothing, record


@record
class NewJob:
    """A plain job to be created.

    `payload` is what a worker executes, opaque here; `nonce` identifies the request (the same again changes nothing); `unique`
    refuses a taken id; `due_ms` is the server time before which it is not queued, or -1; `front` puts it at the front of its queue;
    `parents` are `(job id, condition)`; `call` is what a worker executes for people, and `fields` are further fields of its record; `meta` is
    the user's own data. `group` is the group it joins; `coming` says how many jobs of the same request follow, or -1 of each of those.
    """

    id: str
    queue: str
    payload: bytes
    nonce: str
    unique: bool = False
    due_ms: int = -1
    front: bool = False
    parents: Sequence[tuple[str, str]] = ()
    call: str = ""
    fields: Mapping[str, str] = field(default_factory=nothing)
    meta: bytes = b""
    group: str = ""
    coming: int = 0

    def arguments(self) -> list[str | bytes]:
        """Return the arguments of the script `create`, as flat texts."""
        flat = [self.nonce, self.id, "1" if self.unique else "0", self.queue, self.payload, self.meta]
        flat += (str(self.due_ms), "1" if self.front else "0", self.group, str(self.coming), str(len(self.parents)))
        flat += [f"{parent}|{condition}" for parent, condition in self.parents]
        flat += (str(2 * len(self.fields) + 2), "call", self.call) if self.call else (str(2 * len(self.fields)),)
        for pair in self.fields.items():
            flat += pair
        return flat

    @property
    def is_usual(self) -> bool:
        """Whether it has nothing but what all jobs have, and is to be executed now."""
        return bool(self.call) and not (
            self.unique or self.front or self.parents or self.meta or self.group or self.due_ms >= 0
        )

    def check(self) -> None:
        """Refuse what is too large to be stored; see `check_payload`."""
        check_payload(self.id, self.payload)


def check_payload(job: str, payload: bytes) -> None:
    """Refuse what is too large to be stored.

    Raises:
        TooLargeError: the payload is over `defaults.MAX_PAYLOAD`.
    """
    if len(payload) > defaults.MAX_PAYLOAD:
        raise TooLargeError(
            f"the arguments of job {job} take {len(payload):,} bytes, at most {defaults.MAX_PAYLOAD:,} are allowed:"
            " pass a reference (a path, a key) instead of the data"
        )


def creations(jobs: Sequence[NewJob]) -> list[str | bytes]:
    """Return the arguments of the script `create_many`, as flat texts."""
    count, named, first = str(len(jobs)), {new.id for new in jobs}, jobs[0]
    flat: list[str | bytes] = [count, count, *(new.id for new in jobs)] if len(named) == len(jobs) else [count, "0"]
    shared = (first.nonce, first.queue, first.fields)
    if len(named) == len(jobs) and all((new.nonce, new.queue, new.fields) == shared and new.is_usual for new in jobs):
        flat += [str(2 + 2 * len(first.fields)), first.nonce, first.queue]
        for pair in first.fields.items():
            flat += pair
        for new in jobs:
            flat += (new.payload, new.call)
        return flat
    flat.append("0")
    for new in jobs:
        flat += new.arguments()
    return flat
