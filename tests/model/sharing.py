"""A model of jobs that share processes (`isolation: batch`): two slots, horses that stay after a good end, signals, and what goes wrong.

A horse tells how its job has ended, and with a good end that it looks whether it can stay; that it stays, or goes, is what it tells next. What it has told
is read later: a signal may have been sent meanwhile, or the horse may have died, or something may stand behind the end.
"""

from collections.abc import Iterator
from typing import NamedTuple

from tests.model.executors import put

GROUPS = ("a", "b", "a")  # of each job: only those of one group may share a process
SLOTS = 2
WAITING, RUNNING, WELL, BADLY = "waiting", "running", "finished", "failed"
LOOKS, ENDS, FAILS, STAYS, GOES, JUNK = "looks", "ends", "fails", "stays", "goes", "junk"
BUSY, ENDED, LINGERING, KEPT, LEAVING, GONE = "busy", "ended", "lingering", "kept", "leaving", "gone"
"""What a horse is to its supervisor: it has a job; its job has ended, and it is to tell whether it stays; its job has ended and the slot waits until it is gone;
it waits for another job; it exits; it is gone."""
IN_SLOTS = frozenset({BUSY, ENDED, LINGERING})


class Horse(NamedTuple):
    """A process. `told`: what it has told and was not read yet; `had`: its jobs in order, the latest last."""

    stage: str = BUSY
    had: tuple[int, ...] = ()
    told: tuple[str, ...] = ()
    silent: bool = True  # it has not told the end of its latest job
    looking: bool = False  # it has, and is to tell whether it stays
    waits: bool = False  # it has told that it stays
    dead: bool = False
    signaled: bool = False


class State(NamedTuple):
    """All jobs and horses. `kept`: the horses that wait for another job, the latest last."""

    jobs: tuple[str, ...] = (WAITING,) * len(GROUPS)
    horses: tuple[Horse, ...] = ()
    kept: tuple[int, ...] = ()
    faults: int = 1
    failures: int = 1


class Call(NamedTuple):
    """One step, of a job or of a horse."""

    name: str
    number: int
    how: str = ""


class Sharing:
    """The rules."""

    def start(self) -> State:
        """Return the state of jobs that wait."""
        return State()

    def calls(self, state: State) -> Iterator[Call]:
        """Yield each call that is possible. Jobs are started in order."""
        if WAITING in state.jobs and sum(horse.stage in IN_SLOTS for horse in state.horses) < SLOTS:
            yield Call("give", state.jobs.index(WAITING))
        for number, horse in enumerate(state.horses):
            yield from self._calls_of(state, number, horse)

    def _calls_of(self, state: State, number: int, horse: Horse) -> Iterator[Call]:
        if horse.stage == GONE:
            return
        if horse.dead:
            yield Call("exit", number)
        else:
            if horse.silent:
                yield Call("tell", number, LOOKS)
                if state.failures:
                    yield Call("tell", number, ENDS)
                    yield Call("tell", number, FAILS)
            if horse.looking:
                yield Call("tell", number, STAYS)
                if state.failures:
                    yield Call("tell", number, GOES)
            if state.faults:
                yield Call("die", number)
                yield Call("junk", number)
            if (
                not (horse.silent or horse.looking or horse.waits)
                or horse.signaled
                or (horse.waits and horse.stage in {LEAVING, LINGERING})
            ):
                yield Call("leave", number)
        if horse.told:
            yield Call("read", number)
        if horse.stage == BUSY and state.faults and not horse.signaled:
            yield Call("kill", number)

    def apply(self, state: State, call: Call) -> State:
        """Carry one call out."""
        if call.name == "give":
            return self.give(state, call.number)
        horse = state.horses[call.number]
        match call.name:
            case "tell":
                told = horse._replace(
                    told=(*horse.told, call.how), silent=False, looking=call.how == LOOKS, waits=call.how == STAYS
                )
                return self.put(state, call.number, told)._replace(failures=state.failures - (call.how in {ENDS, FAILS, GOES}))
            case "die":
                return self.put(self.fault(state), call.number, horse._replace(dead=True))
            case "junk":
                return self.put(self.fault(state), call.number, horse._replace(told=(*horse.told, JUNK)))
            case "kill":
                return self.put(self.fault(state), call.number, horse._replace(signaled=True))
            case "leave":
                return self.put(state, call.number, horse._replace(dead=True))
            case "read":
                return self.read(state, call.number)
            case _:
                return self.exit(state, call.number)

    def fault(self, state: State) -> State:
        return state._replace(faults=state.faults - 1)

    def put(self, state: State, number: int, horse: Horse) -> State:
        """Return the state with another horse of this number."""
        return state._replace(horses=put(state.horses, number, horse))

    # -- the supervisor -------------------------------------------------------------------------------------------------------

    def give(self, state: State, job: int) -> State:
        """Give a job to the latest horse that waits for one of its group, or to a new one."""
        state = state._replace(jobs=put(state.jobs, job, RUNNING))
        number = next((kept for kept in reversed(state.kept) if self.may_share(state.horses[kept], job)), None)
        if number is None:
            return state._replace(horses=(*state.horses, Horse(had=(job,))))
        horse = state.horses[number]
        state = state._replace(kept=tuple(kept for kept in state.kept if kept != number))
        return self.put(state, number, horse._replace(stage=BUSY, had=(*horse.had, job), silent=True, waits=False))

    def may_share(self, horse: Horse, job: int) -> bool:
        """Return whether a job may have a horse that waits."""
        return GROUPS[horse.had[-1]] == GROUPS[job]

    def read(self, state: State, number: int) -> State:
        """Read all that a horse has told."""
        horse = state.horses[number]
        state = self.put(state, number, horse._replace(told=()))
        words = [told for told in horse.told if told != JUNK]
        alone = len(words) == len(horse.told)
        if horse.stage == BUSY and words:
            how = words.pop(0)
            state = self.end(state, number, how)
            if how != LOOKS:
                return self.settle(state, number, how, alone=alone)
        elif horse.stage != ENDED:
            return self.spoil(state, number)
        if words:
            return self.settle(state, number, words[0], alone=alone)
        return state if alone else self.spoil(state, number)

    def end(self, state: State, number: int, how: str) -> State:
        """Note the end of a job; its horse is to tell whether it stays."""
        horse = state.horses[number]
        state = state._replace(jobs=put(state.jobs, horse.had[-1], BADLY if how == FAILS else WELL))
        return self.put(state, number, horse._replace(stage=ENDED))

    def settle(self, state: State, number: int, how: str, *, alone: bool) -> State:
        """Keep a horse if it stays, and all was in order."""
        horse = state.horses[number]
        if self.was_hit(horse):
            return self.put(state, number, horse._replace(stage=LINGERING))
        if self.is_spoilt(alone=alone):
            return self.spoil(self.put(state, number, horse._replace(stage=LEAVING)), number)
        if self.stays(how):
            return self.put(state, number, horse._replace(stage=KEPT))._replace(kept=(*state.kept, number))
        return self.put(state, number, horse._replace(stage=LEAVING))

    def stays(self, how: str) -> bool:
        """Return whether a horse that has told so at last gets another job."""
        return how == STAYS

    def was_hit(self, horse: Horse) -> bool:
        """Return whether a signal was sent to a horse: it gets no other job, which the signal could hit."""
        return horse.signaled

    def is_spoilt(self, *, alone: bool) -> bool:
        """Return whether something was told beside an end."""
        return not alone

    def spoil(self, state: State, number: int) -> State:
        """Kill a horse that has told what it should not; it gets no job any more."""
        horse = state.horses[number]
        stage = LEAVING if horse.stage == KEPT else horse.stage
        state = state._replace(kept=tuple(kept for kept in state.kept if kept != number))
        return self.put(state, number, horse._replace(stage=stage, signaled=True))

    def exit(self, state: State, number: int) -> State:
        """Take note that a horse has ended; what it has told before counts."""
        horse = state.horses[number]
        if horse.told:
            state = self.read(state, number)
            horse = state.horses[number]
        if horse.stage == BUSY:
            state = self.lose(state, number)
        state = state._replace(kept=tuple(kept for kept in state.kept if kept != number))
        return self.put(state, number, Horse(GONE))

    def lose(self, state: State, number: int) -> State:
        """Note the end of the job whose horse has ended without telling one."""
        return state._replace(jobs=put(state.jobs, state.horses[number].had[-1], BADLY))

    # -- what must hold -------------------------------------------------------------------------------------------------------

    def broken(self, before: State, call: Call, after: State) -> Iterator[str]:
        """Yield the guarantees that a step breaks."""
        if call.name == "give":
            number = next(
                number for number, horse in enumerate(after.horses) if horse.stage == BUSY and horse.had[-1] == call.number
            )
            if len(after.horses) == len(before.horses):
                yield from self._wrongly_shared(before, before.horses[number], call.number)
        changed = [job for job, (was, now) in enumerate(zip(before.jobs, after.jobs, strict=True)) if was != now]
        if len(changed) > 1:
            yield f"a process ends one job: {changed} have changed at once"
        for job in changed:
            if before.jobs[job] in {WELL, BADLY}:
                yield f"an end is final: job {job} had {before.jobs[job]}"
            if after.jobs[job] == WELL and not {LOOKS, ENDS} & set(before.horses[call.number].told):
                yield f"what is no end ends no job: job {job}"

    def _wrongly_shared(self, before: State, horse: Horse, job: int) -> Iterator[str]:
        ended = [before.jobs[had] for had in horse.had]
        if ended != [WELL] * len(ended) or not horse.waits:
            yield f"a process goes on after good ends alone: job {job} gets one whose jobs have {ended}"
        if horse.signaled:
            yield f"no signal hits another job: job {job} gets a process that a signal was sent to"
        if len({GROUPS[had] for had in (*horse.had, job)}) > 1:
            yield f"jobs of one group share a process: job {job} gets that of {horse.had}"

    def is_progress(self, call: Call) -> bool:
        """Return whether a call is made without any fault or request."""
        return call.name not in {"die", "junk", "kill"}

    def is_over(self, state: State) -> bool:
        """Return whether all jobs have ended."""
        return set(state.jobs) <= {WELL, BADLY}
