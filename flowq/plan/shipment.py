"""What travels with a run, so that its jobs run on machines without its directory (`code: ship`, `bundle`)."""

import os
from dataclasses import dataclass
from typing import Final

FIELDS: Final = ("bundle", "bundle_root", "bundle_requires")
"""The fields of a run's record that name its bundle."""


@dataclass(frozen=True, slots=True)
class Shipment:
    """The files that travel.

    Attributes:
        root: the directory, absolute.
        include: patterns; only files that match travel. Empty: all.
        exclude: patterns of what stays.
        requires: a requirements file, relative to the root; empty: none.
    """

    root: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    requires: str = ""

    @classmethod
    def of_file(cls, file: str) -> "Shipment":
        """Return that of a flow file which says nothing: its directory."""
        return cls(os.path.dirname(file))  # noqa: PTH120 - the file may be on another machine


def signed_parts(bundle: str, root: str, requires: str) -> tuple[str, ...]:
    """Return what the signature of a run's plan covers of its bundle; nothing without one. The arguments are the `FIELDS`."""
    return (bundle, root, requires) if bundle else ()
