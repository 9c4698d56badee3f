"""Which fork server a task goes to: one per directory, import path and environment, a few of them kept."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from flowq.worker.children import kill_orphans, own_children
from flowq.worker.loop import Loop
from flowq.worker.options import WorkerOptions
from flowq.worker.origin import Origin, Place
from flowq.worker.wishes import modules_of

if TYPE_CHECKING:
    from flowq.worker.task import Task

_KEPT: Final = 6  # fork servers; about 10 MB each


class Origins:
    """Starts, finds, renews and retires fork servers."""

    def __init__(self, loop: Loop, options: WorkerOptions) -> None:
        self._loop = loop
        self._options = options
        self._origins: OrderedDict[Place, Origin] = OrderedDict()
        self._fence: float | None = None
        # What this process has started before, the keeper of the embedded server for one, is not to be swept.
        self._others = own_children() if options.alone else set()
        self._living: set[Origin] = set()  # also those that take no new jobs any more

    def for_task(self, task: "Task") -> Origin:
        """Return the fork server for a task, a new one when there is none or when source that it has imported was changed.

        Raises:
            OSError: no process or no descriptor is left.
        """
        place = Place() if self._options.clone else place_of(task)
        origin = self._origins.get(place)
        if origin is not None and not origin.fresh():
            del self._origins[place]
            origin.retire()
            origin = None
        if origin is None:
            origin = self.prepare(place)
        self._origins.move_to_end(place)
        return origin

    def prepare(self, place: Place) -> Origin:
        """Start a fork server ahead of its first task."""
        origin = self._origins.get(place)
        if origin is None:
            self._make_room()
            origin = self._start(place)
            self._origins[place] = origin
        return origin

    def used(self, task: "Task") -> None:
        """Take note that a task ended well: its modules are worth being kept imported."""
        if not self._options.warm or self._options.clone:
            return
        origin = self._origins.get(place_of(task))
        if origin is not None:
            for module in modules_of(task):
                origin.warm(module)

    def renew(self, seconds: float) -> None:
        """Let all horses live for `seconds` more, whatever happens to this process."""
        self._fence = seconds
        for origin in self._living:
            origin.renew(seconds)

    def close(self) -> None:
        """End all fork servers and everything below them."""
        self._origins.clear()
        while self._living:
            self._living.pop().close()

    def _start(self, place: Place) -> Origin:
        if self._options.clone:
            origin = Origin.clone(self._loop, on_lost=self._lost)
        else:
            origin = Origin.start(self._loop, place, preload=self._options.preload, on_lost=self._lost)
        if self._fence is not None:
            origin.renew(self._fence)
        self._living = {known for known in self._living if not known.lost}
        self._living.add(origin)
        return origin

    def _make_room(self) -> None:
        if len(self._origins) < _KEPT:
            return
        place = next((place for place, origin in self._origins.items() if not origin.busy), next(iter(self._origins)))
        self._origins.pop(place).retire()

    def _lost(self, origin: Origin) -> None:
        for place, known in tuple(self._origins.items()):
            if known is origin:
                del self._origins[place]
        if self._options.alone:
            # Its horses, and in turn whatever they had below them, are children of this process now.
            kill_orphans(self._others | {known.pid for known in self._living if not known.lost})


def place_of(task: "Task") -> Place:
    """Return where a task belongs. Commands import nothing, so their environment needs no server of its own."""
    env = task.get("env") or {}
    return Place(
        cwd=task.get("home"),
        path=tuple(task.get("path") or ()),
        env=tuple(sorted(env.items())) if task["kind"] == "call" else (),
    )
