"""The results of a matrix or foreach as CSV: a line for each cell, with its values and its result."""

import csv
import io
from collections.abc import Mapping, Sequence

from flowq.flows.views.text import safe_json, safe_line
from flowq.plan import Json, Plan


def results_csv(plan: Plan, job: str, results: Sequence[Json]) -> str:
    """Return the lines; first the axes of the matrix, or the index of the item, then the keys of the results.

    A key that is also an axis gets the name `result.KEY`, unless it only repeats the values of the axis. A cell without a result has empty fields there.

    Args:
        plan: of the run.
        job: name of the job with cells.
        results: those of the cells, in expansion order.
    """
    cells = [
        cell.matrix for cell in plan.cells if plan.node_of(cell).name == job and not cell.group and cell.matrix is not None
    ]
    axes: Sequence[Mapping[str, Json]] = cells if len(cells) == len(results) else [{"index": at} for at in range(len(results))]
    first = list(dict.fromkeys(name for cell in axes for name in cell))
    maps = [found if isinstance(found, dict) else {} if found is None else {"result": found} for found in results]
    columns: dict[str, str] = {}  # of a key of a result, its column
    for key in dict.fromkeys(key for found in maps for key in found):
        if key not in first:
            columns[key] = key
        elif any(key in found and found[key] != cell.get(key) for found, cell in zip(maps, axes, strict=True)):
            columns[key] = f"result.{key}"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([safe_line(name) for name in (*first, *columns.values())])
    for cell, found in zip(axes, maps, strict=True):
        writer.writerow([*(_field(cell.get(name)) for name in first), *(_field(found.get(key)) for key in columns)])
    return text.getvalue().removesuffix("\n")


def _field(value: Json) -> str:
    if value is None:
        return ""
    return safe_line(value) if isinstance(value, str) else safe_json(value)
