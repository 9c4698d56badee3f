"""A model of one job behind an executor: a driver, two nodes, an engine that starts what it likes, and links that break.

A node that was asked to start an execution asks back (`ready`), and the driver grants it to one. When the link to a node breaks, the driver
fences what it had granted there; the node goes on until its part of the lease is over, and the store gives the job to the next execution later
than that.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

EXECUTIONS = (0, 1)
NODES = (0, 1)
NOWHERE = -1
NEW, ASKED, GRANTED, FENCED, BACK, FINISHED = "new", "asked", "granted", "fenced", "back", "finished"
START, READY, GRANT, REFUSE, OUTCOME = "start", "ready", "grant", "refuse", "outcome"
KILLED_AT, LOST_AT = 1, 2  # ticks after the link broke: the node kills what it executes; the store takes the job for lost
T = TypeVar("T")
Letter = tuple[str, int]  # a message about an execution


class State(NamedTuple):
    """What driver, nodes and store know.

    `fates` are the driver's view of each execution, `where` the node that it was granted to. `ready` has (node, execution) that may be granted,
    `running` those at work, `begun` how often each execution began. `age` counts ticks since the link of a node broke, -1: it holds. `holder` is
    the execution that has the job, or NOWHERE: it is queued. The rest are what engine and faults may still do.
    """

    fates: tuple[str, ...] = (NEW,) * len(EXECUTIONS)
    where: tuple[int, ...] = (NOWHERE,) * len(EXECUTIONS)
    ready: frozenset[tuple[int, int]] = frozenset()
    running: frozenset[tuple[int, int]] = frozenset()
    begun: tuple[int, ...] = (0,) * len(EXECUTIONS)
    to_node: tuple[tuple[Letter, ...], ...] = ((),) * len(NODES)
    to_driver: tuple[tuple[Letter, ...], ...] = ((),) * len(NODES)
    age: tuple[int, ...] = (-1,) * len(NODES)
    holder: int = NOWHERE
    ended: bool = False
    starts: int = 3
    faults: int = 1


class Call(NamedTuple):
    """One step; `node` and `execution` of those that have one."""

    name: str
    node: int = NOWHERE
    execution: int = NOWHERE


class Executor:
    """The rules."""

    def start(self) -> State:
        """Return the state of a job that waits in its queue."""
        return State()

    def calls(self, state: State) -> Iterator[Call]:
        """Yield each call that is possible."""
        following = next((number for number in EXECUTIONS if state.fates[number] == NEW), NOWHERE)
        if state.holder == NOWHERE and not state.ended and following != NOWHERE:
            yield Call("claim", execution=following)
        for node in NODES:
            yield from self._calls_at(state, node)
        if any(0 <= age < LOST_AT for age in state.age):
            yield Call("tick")
        for execution in EXECUTIONS:
            if state.faults and state.fates[execution] in {ASKED, GRANTED}:
                yield Call("refuse", execution=execution)
            if state.holder == execution and state.fates[execution] == FENCED and self.is_lost(state):
                yield Call("expire", execution=execution)
        if state.faults and any(fate in {ASKED, GRANTED} for fate in state.fates):
            yield Call("driver dies")

    def _calls_at(self, state: State, node: int) -> Iterator[Call]:
        if state.age[node] < 0:
            for execution in EXECUTIONS:
                if state.starts and state.fates[execution] != NEW:
                    yield Call("start", node, execution)  # as often as the engine likes, also late
            if state.to_node[node]:
                yield Call("deliver", node)
            if state.to_driver[node]:
                yield Call("receive", node)
            if state.faults:
                yield Call("cut", node)
        elif state.age[node] == LOST_AT:
            yield Call("join", node)
        for where, execution in sorted(state.running):
            if where == node:
                yield Call("end", node, execution)

    def apply(self, state: State, call: Call) -> State:
        """Carry one call out."""
        match call.name:
            case "claim":
                return state._replace(fates=put(state.fates, call.execution, ASKED), holder=call.execution)
            case "start":
                return self.send(state._replace(starts=state.starts - 1), call.node, START, call.execution)
            case "deliver":
                (kind, execution), *rest = state.to_node[call.node]
                return self.deliver(
                    state._replace(to_node=put(state.to_node, call.node, tuple(rest))), call.node, kind, execution
                )
            case "receive":
                (kind, execution), *rest = state.to_driver[call.node]
                state = state._replace(to_driver=put(state.to_driver, call.node, tuple(rest)))
                return self.receive(state, call.node, kind, execution)
            case "end":
                state = state._replace(running=state.running - {(call.node, call.execution)})
                return self.tell(state, call.node, OUTCOME, call.execution)
            case "cut":
                return self.lose(self.cut(state._replace(faults=state.faults - 1), call.node), call.node)
            case "driver dies":
                state = state._replace(faults=state.faults - 1)
                for node in NODES:
                    state = self.cut(state, node)
                return self.bereave(state)
            case "refuse":
                return self.hand_back(state._replace(faults=state.faults - 1), call.execution)
            case "tick":
                return self.tick(state)
            case "expire":
                return state._replace(holder=NOWHERE)
            case _:
                return state._replace(age=put(state.age, call.node, -1))

    # -- the driver -----------------------------------------------------------------------------------------------------------

    def receive(self, state: State, node: int, kind: str, execution: int) -> State:
        """Let the driver handle a message of a node."""
        if kind == READY:
            if not self.may_be_granted(state, node, execution):
                return self.send(state, node, REFUSE, execution)
            state = state._replace(fates=put(state.fates, execution, GRANTED), where=put(state.where, execution, node))
            return self.send(state, node, GRANT, execution)
        if state.fates[execution] != GRANTED or state.where[execution] != node:
            return state
        return self.settle(state, execution, FINISHED)._replace(ended=True)

    def may_be_granted(self, state: State, _node: int, execution: int) -> bool:
        return state.fates[execution] == ASKED

    def lose(self, state: State, node: int) -> State:
        """Let the driver give up a node: what it has granted there is fenced."""
        for execution in EXECUTIONS:
            if state.fates[execution] == GRANTED and state.where[execution] == node:
                state = state._replace(fates=put(state.fates, execution, FENCED))
        return state

    def bereave(self, state: State) -> State:
        """Let the supervisor fence all that its driver had."""
        return state._replace(fates=tuple(FENCED if fate in {ASKED, GRANTED} else fate for fate in state.fates))

    def hand_back(self, state: State, execution: int) -> State:
        """The engine says that it will not start an execution: one that is not granted goes back to its queue."""
        return self.settle(state, execution, BACK) if state.fates[execution] == ASKED else state

    def settle(self, state: State, execution: int, fate: str) -> State:
        """Note the end of an execution; the store accepts it of the one that has the job."""
        holder = NOWHERE if state.holder == execution else state.holder
        return state._replace(fates=put(state.fates, execution, fate), holder=holder)

    # -- nodes ----------------------------------------------------------------------------------------------------------------

    def deliver(self, state: State, node: int, kind: str, execution: int) -> State:
        """Let a node handle a message of the driver."""
        place = (node, execution)
        match kind:
            case "start":
                return self.tell(state._replace(ready=state.ready | {place}), node, READY, execution)
            case "grant":
                return self.begin(state, node, execution) if place in state.ready else state
            case _:
                return state._replace(ready=state.ready - {place})

    def begin(self, state: State, node: int, execution: int) -> State:
        """Let a node execute what was granted."""
        place = (node, execution)
        begun = put(state.begun, execution, state.begun[execution] + 1)
        return state._replace(ready=state.ready - {place}, running=state.running | {place}, begun=begun)

    def fence(self, state: State, node: int) -> State:
        """Let a node kill what it executes, because no renewal of the lease has come."""
        return state._replace(running=frozenset(place for place in state.running if place[0] != node))

    # -- time and links -------------------------------------------------------------------------------------------------------

    def tick(self, state: State) -> State:
        """Let time pass."""
        for node in NODES:
            if state.age[node] >= 0:
                state = state._replace(age=put(state.age, node, min(state.age[node] + 1, LOST_AT)))
                if state.age[node] == KILLED_AT:
                    state = self.fence(state, node)
        return state

    def is_lost(self, state: State) -> bool:
        """Return whether the lease of what was fenced is over in the store: all nodes whose links broke have killed theirs by then."""
        return all(age < 0 or age == LOST_AT for age in state.age)

    def cut(self, state: State, node: int) -> State:
        """Break the link of a node: nothing arrives any more, nor is anything granted there."""
        if state.age[node] >= 0:
            return state
        ready = frozenset(place for place in state.ready if place[0] != node)
        state = state._replace(age=put(state.age, node, 0), ready=ready)
        return state._replace(to_node=put(state.to_node, node, ()), to_driver=put(state.to_driver, node, ()))

    def send(self, state: State, node: int, kind: str, execution: int) -> State:
        """Send a message to a node."""
        return state._replace(to_node=put(state.to_node, node, (*state.to_node[node], (kind, execution))))

    def tell(self, state: State, node: int, kind: str, execution: int) -> State:
        """Send a message to the driver, if the link holds."""
        if state.age[node] >= 0:
            return state
        return state._replace(to_driver=put(state.to_driver, node, (*state.to_driver[node], (kind, execution))))

    # -- what must hold -------------------------------------------------------------------------------------------------------

    def broken(self, before: State, call: Call, after: State) -> Iterator[str]:
        """Yield the guarantees that a step breaks."""
        for execution in EXECUTIONS:
            if after.begun[execution] > 1:
                yield f"an execution begins once: {execution} has begun {after.begun[execution]} times"
            if after.begun[execution] > before.begun[execution] and after.where[execution] != call.node:
                yield f"only a granted start executes: {execution} begins on node {call.node}, which it was not granted to"
            if after.fates[execution] == BACK and after.begun[execution]:
                yield f"what goes back to its queue was not executed: {execution} has begun"
        if len(after.running) > 1:
            yield f"a job is executed by one at a time: {sorted(after.running)} run"
        if before.ended and after.holder != before.holder:
            yield "an end is final: the job has changed behind its end"

    def is_progress(self, call: Call) -> bool:
        """Return whether a call is made without any fault; the engine starts what it was asked for sooner or later."""
        return call.name not in {"cut", "driver dies", "refuse"}

    def is_over(self, state: State) -> bool:
        """Return whether the job has ended, or is queued with no execution left for it here."""
        return (
            state.ended or (state.holder == NOWHERE and NEW not in state.fates) or (not state.starts and ASKED in state.fates)
        )


def put(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    """Return the items with another one in one place."""
    return (*items[:index], item, *items[index + 1 :])
