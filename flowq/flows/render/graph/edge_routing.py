"""The routing of edges between two columns of text, so that no two lines can be mistaken for one.

Edges from the same parents run together: a *bundle*. It has at most one vertical piece, on a *track*. A parent's line leads from
the left border to the tracks of its bundles, a child's line from the track of its bundle to the right border. In a row that has
both, of different bundles, the parent's track must stand left of the child's, or the lines would touch; where that cannot be
(a cycle of such wishes) the layout needs more rows.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bundle:
    """Edges from all of some parents to all of some children, by their rows. `track` is -1 for a straight line."""

    sources: tuple[int, ...]
    targets: tuple[int, ...]
    track: int = -1

    @property
    def low(self) -> int:
        """The uppermost row."""
        return min(*self.sources, *self.targets)

    @property
    def high(self) -> int:
        """The lowest row."""
        return max(*self.sources, *self.targets)


def bundles_between(children: Sequence[int], parents: Sequence[Sequence[int]], rows: Sequence[int]) -> list[Bundle]:
    """Return the bundles that end at these items of a column."""
    found: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for child in children:
        if parents[child]:
            found[tuple(sorted(parents[child]))].append(rows[child])
    return [Bundle(tuple(rows[item] for item in sources), tuple(targets)) for sources, targets in found.items()]


def route(bundles: Sequence[Bundle]) -> list[Bundle] | None:
    """Give each bundle its track; None when lines would touch whatever the tracks."""
    before = _order(bundles)
    tracks: dict[int, int] = {}
    taken: list[list[tuple[int, int]]] = []  # per track the pieces on it
    waiting = {index: len(some) for index, some in before.items()}
    ready = sorted((index for index, count in waiting.items() if count == 0), key=lambda index: bundles[index].low)
    after: defaultdict[int, list[int]] = defaultdict(list)
    for index, some in before.items():
        for other in some:
            after[other].append(index)
    while ready:
        index = ready.pop(0)
        bundle = bundles[index]
        first = max((tracks[other] + 1 for other in before[index]), default=0)
        tracks[index] = -1 if bundle.low == bundle.high else _free(taken, first, bundle)
        for later in after[index]:
            waiting[later] -= 1
            if waiting[later] == 0:
                ready.append(later)
    if len(tracks) < len(bundles):
        return None
    return [Bundle(bundle.sources, bundle.targets, tracks[index]) for index, bundle in enumerate(bundles)]


def _order(bundles: Sequence[Bundle]) -> dict[int, set[int]]:
    """Return for each bundle those that must stand left of it: a parent's line ends in the row where its child's begins."""
    leaving: defaultdict[int, set[int]] = defaultdict(set)
    for index, bundle in enumerate(bundles):
        for row in bundle.sources:
            leaving[row].add(index)
    return {
        index: {other for row in bundle.targets for other in leaving[row] if other != index}
        for index, bundle in enumerate(bundles)
    }


def _free(taken: list[list[tuple[int, int]]], first: int, bundle: Bundle) -> int:
    """Take the first track from `first` on in which the bundle's vertical piece touches no other."""
    for track in range(first, len(taken)):
        if all(bundle.low > high or bundle.high < low for low, high in taken[track]):
            taken[track].append((bundle.low, bundle.high))
            return track
    while len(taken) <= first:
        taken.append([])
    if taken[-1]:
        taken.append([])
    taken[-1].append((bundle.low, bundle.high))
    return len(taken) - 1
