"""The report: one self-contained HTML page."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from penguin_study.birds import ALL, MEASURES, read
from penguin_study.charts import Axes, Line, bars, scatter

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Penguins and their bills</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #333; background: #fff }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right }}
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) {{ text-align: left }}
svg {{ width: 100%; height: auto }}
</style>
</head>
<body>
<h1>Penguins and their bills</h1>
<p>{birds} birds of three species ({islands}); {dropped} more without measurements are left out.</p>
<p>{finding}</p>
{scatter}
{slopes}
<h2>Which bird is it?</h2>
<p>{naming}</p>
{bars}
<h2>The measures</h2>
{measures}
<p>Data: K. B. Gorman, T. D. Williams, W. R. Fraser (2014), Palmer Station LTER; CC0 1.0.</p>
</body>
</html>
"""


def write(  # noqa: PLR0913 - one argument for each job that the report joins
    *,
    out: str,
    table: str,
    dropped: int,
    descriptions: Sequence[dict[str, Any]],
    fits: Sequence[dict[str, Any]],
    accuracies: Sequence[dict[str, Any]],
    best: dict[str, Any],
    islands: Sequence[dict[str, Any]],
) -> dict[str, object]:
    """Write `out`/report.html and `out`/bills.svg.

    Returns:
        `{"page": path of the page, "chart": path of the chart, "finding": a sentence}`.
    """
    chart = _bills(table, fits)
    finding = _finding(fits)
    measures = ["species", "sex", "birds", *(name.replace("_", " ") for name in MEASURES)]
    page = _PAGE.format(
        birds=sum(item["birds"] for item in descriptions),
        islands=escape(", ".join(f"{item['birds']} on {item['island']}" for item in islands)),
        dropped=dropped,
        finding=escape(finding),
        scatter=chart,
        slopes=_table(["species", "", "birds", "slope", "95 % interval"], _slope_rows(fits)),
        naming=escape(_naming(best)),
        bars=_accuracies(accuracies),
        measures=_table(measures, _measure_rows(descriptions)),
    )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bills.svg").write_text(chart, encoding="utf-8")
    (folder / "report.html").write_text(page, encoding="utf-8")
    print(finding)
    return {"page": str(folder / "report.html"), "chart": str(folder / "bills.svg"), "finding": finding}


def _finding(fits: Sequence[dict[str, Any]]) -> str:
    whole = next(item for item in fits if item["species"] == ALL)
    parts = [item for item in fits if item["species"] != ALL]
    within = ", ".join(f"{item['slope']:+.2f} in {item['species']}" for item in parts)
    turned = all((item["slope"] > 0) != (whole["slope"] > 0) for item in parts)
    verdict = "within each species, the sign is the opposite" if turned else "the species agree with the whole"
    return f"Bill depth changes by {whole['slope']:+.2f} mm per mm of length over all birds, by {within}: {verdict}."


def _naming(best: dict[str, Any]) -> str:
    return (
        f"The {best['k']} most similar other birds predict the right species for {best['right']} of {best['birds']} birds "
        f"({best['accuracy']:.1%}). The axis below does not start at zero."
    )


def _bills(table: str, fits: Sequence[dict[str, Any]]) -> str:
    series: dict[str, list[tuple[float, float]]] = {}
    for bird in read(table):
        series.setdefault(bird.species, []).append((bird.bill_length_mm, bird.bill_depth_mm))
    lines = {item["species"]: Line(item["slope"], item["intercept"], dashed=item["species"] == ALL) for item in fits}
    return scatter(Axes("Bill depth over bill length", "bill length (mm)", "bill depth (mm)"), series, lines)


def _accuracies(accuracies: Sequence[dict[str, Any]]) -> str:
    values = [(f"k = {item['k']}", float(item["accuracy"])) for item in accuracies]
    return bars(
        Axes("Species predicted by the nearest birds", "number of neighbours", "share of right predictions"),
        values,
        floor_at=0.9,
    )


def _slope_rows(fits: Sequence[dict[str, Any]]) -> Iterable[list[str]]:
    for item in fits:
        interval = f"{item['low']:+.3f} … {item['high']:+.3f}"
        yield [item["species"], "", str(item["birds"]), f"{item['slope']:+.3f}", interval]


def _measure_rows(descriptions: Sequence[dict[str, Any]]) -> Iterable[list[str]]:
    for item in descriptions:
        for group in item["groups"]:
            cells = [f"{group[name]['mean']:.1f} ± {group[name]['sd']:.1f}" for name in MEASURES]
            yield [item["species"], group["sex"], str(group["birds"]), *cells]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "\n".join(["<table>", row(head, "th"), *(row(cells, "td") for cells in rows), "</table>"])
