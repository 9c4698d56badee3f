"""The name of a catalog, and of the queues of its runs on the embedded server."""

import re
from pathlib import Path
from typing import Final

from flowq.exceptions import UsageError

_NAME: Final = re.compile(r"(?!\.+$)[A-Za-z0-9._-]{1,64}")


def catalog_name(root: str, given: str | None = None) -> str:
    """Return the name of the catalog of a directory: the given one, else the directory's.

    Raises:
        UsageError: it cannot be the name of a catalog.
    """
    found = Path(root).name if given is None else given
    if not _NAME.fullmatch(found):
        where = f"--name NAME gives {root} another one" if given is None else "choose another one"
        raise UsageError(f"the name of a catalog has 1 to 64 letters, digits and . _ -, found {found!r}: {where}")
    return found


def served_prefix(catalog: str) -> str:
    """Return the prefix of the queues of a catalog's runs on the embedded server: `flowq run` there has queues of its own too."""
    return f"serve/{catalog}"
