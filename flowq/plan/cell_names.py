r"""The names of the cells of a matrix, which are unique, look different and can be typed.

A name has one of five spellings. A cell has the first one if no other cell's name looks the same; a clash changes only the cells that
clash:

    PLAIN           build[fmt=pdf,n=1]             texts as they are
    QUOTED          build[fmt="pdf",n="1"]         values as JSON: the number 1 is not the text "1", and a comma inside a text separates nothing
    ESCAPED         build[n="caf\u00e9"]           the same in ASCII, for texts of other characters that look the same
    WHOLE           build[{"fmt":"pdf","n":"1"}]   for a quoted name that is some other cell's plain one; no axis begins with a brace
    WHOLE_ESCAPED   build[{"n":"caf\u00e9"}]       the same in ASCII

The spelling is stored with the cell, so a run keeps the names that it began with.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

PLAIN: Final = 0
QUOTED: Final = 1
WHOLE: Final = 2
ESCAPED: Final = 3
WHOLE_ESCAPED: Final = 4

_OTHERS: Final = (QUOTED, ESCAPED, WHOLE, WHOLE_ESCAPED)  # in the order in which they are tried
_ASCII: Final = frozenset({ESCAPED, WHOLE_ESCAPED})
_FILLERS: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
)  # without width, and printable to Python
_SPACES: Final = re.compile("[\xa0\u1680\u2000-\u200a\u202f\u205f\u2800\u3000]")
_PART: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+')
_VARIANTS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # select a glyph of the character before


def cell_name(node: str, matrix: Mapping[str, Any], spelling: int = PLAIN) -> str:
    """Return the name of one cell of a matrix: `build[fmt=pdf,lang=en]`."""
    if spelling in {WHOLE, WHOLE_ESCAPED}:
        return f"{node}[{_json(dict(matrix), ascii_only=spelling in _ASCII)}]"
    values = (_text(value, spelling) for value in matrix.values())
    return f"{node}[{','.join(f'{axis}={value}' for axis, value in zip(matrix, values, strict=True))}]"


def has_values(given: str, matrix: Mapping[str, Any]) -> bool:
    """Return whether a cell has the values of a name that may leave others out: `build[lang=en]`.

    A text with a comma in it is written as JSON.

    Example:
        >>> has_values("build[lang=en]", {"fmt": "pdf", "lang": "en"})
        True
    """
    inner = given.partition("[")[2]
    if not inner.endswith("]"):
        return False
    known = {look(f"{axis}={_text(value, spelling)}") for axis, value in matrix.items() for spelling in (PLAIN, QUOTED)}
    return all(look(part) in known for part in _PART.findall(inner[:-1]))


def spellings(cells: Sequence[Mapping[str, Any]]) -> Sequence[int]:
    """Return for each cell of a matrix the spelling of its name, so that all names look different. No two cells are equal."""
    names = [cell_name("", cell) for cell in cells]
    if len(set(names)) == len(names) and all(name.isascii() and name.isprintable() for name in names):
        return bytes(len(cells))
    count = Counter(map(look, names))
    chosen = [PLAIN if count[look(name)] == 1 else None for name in names]
    taken = {name for name, times in count.items() if times == 1}
    for spelling in _OTHERS:
        open_cells = [number for number, kind in enumerate(chosen) if kind is None]
        found = [look(cell_name("", cells[number], spelling)) for number in open_cells]
        for number in _different(open_cells, found, taken):
            chosen[number] = spelling
    return [WHOLE_ESCAPED if kind is None else kind for kind in chosen]


def _different(numbers: Iterable[int], names: Sequence[str], taken: set[str]) -> Iterator[int]:
    """Yield the numbers of the cells whose name no other cell has, and take these names."""
    count = Counter(names)
    free = {name for name, times in count.items() if times == 1} - taken
    taken |= free
    return (number for number, name in zip(numbers, names, strict=True) if name in free)


def look(name: str) -> str:
    """Return the form that names have in common which a terminal shows alike.

    What cannot be printed is an escape, as terminals show it, which another name may have as its text. Characters that have several
    encodings are composed, all spaces are one, and selectors of glyphs are left out.
    """
    if name.isascii() and name.isprintable():
        return name
    from unicodedata import normalize

    composed = _SPACES.sub(" ", _VARIANTS.sub("", normalize("NFC", name)))
    return "".join(
        char if char.isprintable() and char not in _FILLERS else char.encode("unicode_escape").decode() for char in composed
    )


def _text(value: Any, spelling: int) -> str:
    return value if spelling == PLAIN and isinstance(value, str) else _json(value, ascii_only=spelling in _ASCII)


def _json(value: Any, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, separators=(",", ":"))
