"""The directory of the corpora: beside the checkout, or `FLOWQ_CORPORA`."""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.examples.running import ROOT

CORPORA: Final = Path(os.environ.get("FLOWQ_CORPORA") or ROOT.parent / "shared" / "corpora")


def graph_files() -> list[Path]:
    """Return all graphs; none if the corpora are absent."""
    return sorted(path for folder in ("graphs", "ci-graphs", "hard") for path in (CORPORA / folder).glob("*.json*"))


def graph_file(name: str) -> Path:
    """Return one graph; skip the test if it is absent."""
    path = CORPORA / "graphs" / name
    if not path.exists():
        pytest.skip(f"{path} is not there; FLOWQ_CORPORA names the folder of the corpora")
    return path
