"""The estimates of the study: means with their spread, and a line with the uncertainty of its slope."""

import random
import statistics
from collections.abc import Sequence

from penguin_study.birds import MEASURES, Bird, read


def describe(table: str, species: str) -> dict[str, object]:
    """Summarise one species.

    Returns:
        `{"species", "birds", "groups": [{"sex", "birds", "<measure>": {"mean", "sd"}, …}]}`, sexes in alphabetical order.
    """
    birds = read(table, species)
    sexes = sorted({bird.sex for bird in birds})
    groups = [_group(sex, [bird for bird in birds if bird.sex == sex]) for sex in sexes]
    return {"species": species, "birds": len(birds), "groups": groups}


def fit(table: str, species: str, resamples: int) -> dict[str, object]:
    """Fit bill depth as a line over bill length by least squares.

    The interval is the middle 95 % of the slopes of `resamples` samples of the birds, drawn with replacement.

    Returns:
        `{"species", "birds", "slope", "intercept", "low", "high"}`, slopes in mm of depth per mm of length.
    """
    birds = read(table, species)
    points = [(bird.bill_length_mm, bird.bill_depth_mm) for bird in birds]
    slope, intercept = _line(points)
    draw = random.Random(f"bootstrap of {species}")  # noqa: S311 - reproducible on purpose, not for cryptography
    slopes = sorted(_line(draw.choices(points, k=len(points)))[0] for _ in range(resamples))
    low, high = slopes[round(0.025 * resamples)], slopes[min(round(0.975 * resamples), resamples - 1)]
    print(f"{species}: {slope:+.3f} mm per mm, 95 % between {low:+.3f} and {high:+.3f}")
    return {"species": species, "birds": len(birds), "slope": slope, "intercept": intercept, "low": low, "high": high}


def _group(sex: str, birds: Sequence[Bird]) -> dict[str, object]:
    group: dict[str, object] = {"sex": sex, "birds": len(birds)}
    for name in MEASURES:
        values = [bird.measure(name) for bird in birds]
        group[name] = {"mean": statistics.fmean(values), "sd": statistics.stdev(values) if len(values) > 1 else 0.0}
    return group


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return slope, mean_y - slope * mean_x
