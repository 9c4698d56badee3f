"""The names of the cells of a matrix, which are unique and can be typed.

A name has one of three spellings. A cell has the first one if no other cell has the same name; a clash changes only the cells that
clash:

    PLAIN   build[fmt=pdf,n=1]           texts as they are
    QUOTED  build[fmt="pdf",n="1"]       values as JSON: the number 1 is not the text "1", and a comma inside a text separates nothing
    WHOLE   build[{"fmt":"pdf","n":"1"}] for a quoted name that is some other cell's plain one; no axis begins with a brace

The spelling is stored with the cell, so a run keeps the names that it began with.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

PLAIN: Final = 0
QUOTED: Final = 1
WHOLE: Final = 2


def cell_name(node: str, matrix: Mapping[str, Any], spelling: int = PLAIN) -> str:
    """Return the name of one cell of a matrix: `build[fmt=pdf,lang=en]`."""
    if spelling == WHOLE:
        return f"{node}[{_json(dict(matrix))}]"
    text = _text if spelling == PLAIN else _json
    return f"{node}[{','.join(f'{axis}={text(value)}' for axis, value in matrix.items())}]"


def spellings(cells: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """Return for each cell of a matrix the spelling of its name, so that all names differ. No two cells are equal."""
    names = [cell_name("", cell) for cell in cells]
    if len(set(names)) == len(names) and all(map(str.isprintable, names)):
        return bytes(len(cells))
    shown = [_shown(name) for name in names]
    count = Counter(shown)
    taken = {name for name in shown if count[name] == 1}
    quoted = (_shown(cell_name("", cell, QUOTED)) for cell in cells)
    return [PLAIN if name in taken else WHOLE if other in taken else QUOTED for name, other in zip(shown, quoted, strict=True)]


def _shown(name: str) -> str:
    """Return the name as terminals show it: what cannot be printed as an escape, which another name may have as its text."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
