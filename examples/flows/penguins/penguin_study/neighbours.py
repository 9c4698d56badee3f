"""Prediction of a bird's species from its four measures, by the most similar birds."""

import heapq
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from penguin_study.birds import MEASURES, Bird, read


def leave_one_out(table: str, k: int) -> dict[str, object]:
    """Predict each bird's species by a vote of the `k` nearest other birds.

    Measures are scaled to a standard deviation of 1, so that grams do not outvote millimetres.

    Returns:
        `{"k", "birds", "right", "accuracy"}`.
    """
    birds = read(table)
    places = _scaled(birds)
    right = sum(_vote(index, places, birds, k) == bird.species for index, bird in enumerate(birds))
    print(f"k = {k}: {right} of {len(birds)} birds predicted right")
    return {"k": k, "birds": len(birds), "right": right, "accuracy": right / len(birds)}


def best(accuracies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the result of `leave_one_out` with the highest accuracy; with equal accuracy, the smallest k."""
    return max(accuracies, key=lambda item: (item["accuracy"], -item["k"]))


def _scaled(birds: Sequence[Bird]) -> list[tuple[float, ...]]:
    columns = []
    for name in MEASURES:
        values = [bird.measure(name) for bird in birds]
        mean, sd = statistics.fmean(values), statistics.stdev(values)
        columns.append([(value - mean) / sd for value in values])
    return list(zip(*columns, strict=True))


def _vote(index: int, places: Sequence[tuple[float, ...]], birds: Sequence[Bird], k: int) -> str:
    others = ((math.dist(places[index], place), other) for other, place in enumerate(places) if other != index)
    nearest = heapq.nsmallest(k, others)
    return Counter(birds[other].species for _, other in nearest).most_common(1)[0][0]
