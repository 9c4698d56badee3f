"""The table: read the published file, clean it, and read the clean file."""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

PUBLISHED = Path(__file__).parent.parent / "data" / "penguins.csv"
MISSING = "NA"
MEASURES = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
ALL = "all"


@dataclass(frozen=True, slots=True)
class Bird:
    """One bird with all four measures. `sex` is "female", "male" or "unknown"."""

    species: str
    island: str
    bill_length_mm: float
    bill_depth_mm: float
    flipper_length_mm: float
    body_mass_g: float
    sex: str

    def measure(self, name: str) -> float:
        """Return one of `MEASURES`."""
        return float(getattr(self, name))


def extract(out: str, source: str | None = None) -> dict[str, object]:
    """Clean the published table and write it to `out`/clean.csv.

    Returns:
        `{"table": path of the clean table, "birds": kept, "dropped": birds without measures}`.
    """
    with Path(source or PUBLISHED).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    birds = [_bird(row) for row in rows if all(row[name] != MISSING for name in MEASURES)]
    target = Path(out) / "clean.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [item.name for item in fields(Bird)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(bird) for bird in birds)
    print(f"{len(birds)} birds kept, {len(rows) - len(birds)} without measures dropped")
    return {"table": str(target), "birds": len(birds), "dropped": len(rows) - len(birds)}


def read(table: str, species: str = ALL) -> list[Bird]:
    """Read a clean table; only the birds of one species unless `species` is "all"."""
    with Path(table).open(encoding="utf-8", newline="") as file:
        birds = [_bird(row) for row in csv.DictReader(file)]
    return [bird for bird in birds if species in {ALL, bird.species}]


def _bird(row: dict[str, str]) -> Bird:
    sex = row["sex"] if row["sex"] != MISSING else "unknown"
    bill_length, bill_depth, flipper_length, body_mass = (float(row[name]) for name in MEASURES)
    return Bird(row["species"], row["island"], bill_length, bill_depth, flipper_length, body_mass, sex)
