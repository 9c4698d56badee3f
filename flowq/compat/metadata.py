"""The distribution `rq`, for programs that ask `importlib.metadata` which version of RQ there is."""

from importlib.metadata import Distribution
from pathlib import Path
from typing import NoReturn

from flowq.compat.rq.version import VERSION

_FILES = {
    "METADATA": f"Metadata-Version: 2.1\nName: rq\nVersion: {VERSION}\nSummary: flowq under the names of RQ\n",
    "top_level.txt": "rq\n",
}


class RqDistribution(Distribution):
    """A distribution without files, with the version of RQ whose names flowq has."""

    def read_text(self, filename: str) -> str | None:
        """Return a file of its metadata, None for those that it does not have."""
        return _FILES.get(filename)

    def locate_file(self, path: object) -> NoReturn:
        """Raise an error: it has no files."""
        raise FileNotFoundError(Path(str(path)))
