"""The functions of `sweep.yaml`: gradient descent for a line through noisy points."""

import random
from itertools import product


def trials(rates: list[float], steps: list[int]) -> list[dict[str, float]]:
    """Return every combination of learning rate and number of steps."""
    return [{"rate": rate, "steps": count} for rate, count in product(rates, steps)]


def fit(rate: float, steps: int) -> dict[str, float]:
    """Return the line that gradient descent finds, and its mean squared error.

    Raises:
        ArithmeticError: the learning rate is too large, so the line diverges.
    """
    source = random.Random(7)  # noqa: S311 - the same points in each trial
    points = [(x / 50, 2.0 * x / 50 + 1.0 + source.gauss(0, 0.1)) for x in range(100)]
    slope = offset = 0.0
    for _ in range(steps):
        errors = [(slope * x + offset - y, x) for x, y in points]
        slope -= rate * sum(error * x for error, x in errors) / len(points)
        offset -= rate * sum(error for error, _ in errors) / len(points)
        if abs(slope) > 1e6:
            raise ArithmeticError(f"diverges with the learning rate {rate}")
    loss = sum((slope * x + offset - y) ** 2 for x, y in points) / len(points)
    return {"rate": rate, "steps": steps, "slope": round(slope, 3), "offset": round(offset, 3), "loss": round(loss, 5)}


def best(results: list[dict[str, float] | None]) -> dict[str, float]:
    """Return the result with the smallest loss; null stands for a trial that failed."""
    return min((result for result in results if result is not None), key=lambda result: result["loss"])
