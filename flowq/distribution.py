"""The distribution that this package is installed from, and another one that has its import name.

The name `flowq` is another project's on the package index. Both install a folder `flowq`; in one environment, their files overwrite each other.
"""

import os
from typing import Final

NAME: Final = "flowq-workflows"

REMEDY: Final = f"pip uninstall flowq, then pip install --force-reinstall {NAME}"


def find_foreign(folder: str = os.path.dirname(os.path.dirname(__file__))) -> str:
    """Return the version of a distribution named `flowq` that is installed in the folder of this package; empty if there is none.

    One listing of a folder: every command does it, and `importlib.metadata` takes as long to import as `flowq --help` to run.
    """
    try:
        names = os.listdir(folder)
    except OSError:  # a zip archive
        return ""
    found = [name for name in names if name.startswith("flowq-") and name.endswith(".dist-info")]
    return max(found).removeprefix("flowq-").removesuffix(".dist-info") if found else ""


def describe(version: str) -> str:
    """Return the sentence for users whose environment has that foreign version."""
    return f"the distribution flowq {version}, another project's, is installed in the same folder as {NAME}: their files overwrite each other"
