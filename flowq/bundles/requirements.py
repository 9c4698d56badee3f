"""The packages that a bundle requires: only looked for, never installed. What a machine has is its owner's business."""

import re
from importlib import metadata
from typing import Final

_LINE: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*(==\s*(?P<version>[A-Za-z0-9.!+_-]+)\s*)?([<>=!~,; ].*)?"
)


def missing(path: str) -> str:
    """Return the first package of a requirements file that this interpreter has not, with its version if `==` names one; "" for none.

    Other limits of versions, lines with markers (`;`), options and addresses are not looked at.
    """
    with open(path, encoding="utf-8") as file:
        lines = [line.partition(" #")[0].strip() for line in file]
    for line in lines:
        match = None if not line or line[0] in "#-" or ";" in line or "://" in line else _LINE.fullmatch(line)
        if match is None:
            continue
        name, wanted = match["name"], match["version"]
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            return name
        if wanted and found != wanted:
            return f"{name} {wanted} (it has {found})"
    return ""
