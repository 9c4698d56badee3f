"""Lines of styled text that fit a width; all displays show them."""

from typing import Final, TypeAlias

Segment: TypeAlias = tuple[str, str]  # safe text; name of a style, or SGR parameters as a job wrote them
Line: TypeAlias = tuple[Segment, ...]

_LEAST: Final = 12  # cells of a wrapped row after its beginning, which is shortened where there is less room

STYLES: Final = {"": "", "good": "32", "bad": "31", "warn": "33", "busy": "36", "dim": "2", "bold": "1", "badbold": "1;31"}
"""Style names and their SGR parameters; only the sixteen colours of the terminal's theme."""


def paint(line: Line, *, color: bool) -> str:
    """Return a line as text without trailing spaces, with escape sequences if `color`."""
    if not color:
        return "".join(text for text, _style in line).rstrip()
    return "".join(_painted(text, style) for text, style in line)


def _painted(text: str, style: str) -> str:
    parameters = STYLES.get(style, style)
    visible = text.strip() if style in STYLES else text  # the spaces of a job may have a background
    return f"\x1b[{parameters}m{text}\x1b[0m" if parameters and visible else text


def columns(text: str) -> int:
    """Return the number of terminal cells that the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def cut(text: str, width: int, *, unicode: bool = True) -> str:
    """Return the text shortened to at most `width` cells, with an ellipsis if it was cut."""
    if columns(text) <= width:
        return text
    mark = "…" if unicode else "..."
    if width <= len(mark):
        return mark[:width]
    room = width - len(mark)
    if text.isascii():
        return text[:room] + mark
    kept, used = [], 0
    for char in text:
        used += columns(char)
        if used > room:
            break
        kept.append(char)
    return "".join(kept) + mark


def pad(text: str, width: int) -> str:
    """Return the text filled with spaces to `width` cells."""
    return text + " " * (width - columns(text))


def fit(line: Line, width: int | None, *, unicode: bool = True) -> Line:
    """Return the line cut to a width: the segment that crosses the limit is shortened, those after it are dropped."""
    if width is None:
        return line
    out: list[Segment] = []
    room = width
    for index, (text, style) in enumerate(line):
        size = columns(text)
        last = not any(later.strip() for later, _style in line[index + 1 :])
        if size < room or (size == room and last):
            out.append((text, style))
            room -= size
            continue
        out.append((cut(text if last else text + "…", room, unicode=unicode), style))
        break
    return tuple(out)


def wrap(line: Line, width: int | None, *, below: str = "", most: int = 12, unicode: bool = True) -> list[Line]:
    """Return the line as rows that fit a width, broken between words where that is possible.

    Args:
        line: the line.
        width: cells; None: the line stays whole.
        below: the beginning of the rows after the first.
        most: the maximal number of rows; the last one is cut.
        unicode: the terminal can show an ellipsis.
    """
    text = "".join(part for part, _style in line)
    if width is None or columns(text) <= width:
        return [line]
    below = indent(below, width)
    rows: list[Line] = []
    start = 0
    while start < len(text):
        lead: Line = ((below, "dim"),) if rows and below else ()
        last = len(rows) == most - 1
        end = len(text) if last else _row_end(text, start, width - columns(below) if rows else width)
        rows.append(fit((*lead, *_part(line, start, end)), width, unicode=unicode))
        start = end + len(text[end:]) - len(text[end:].lstrip(" "))
    return rows


def indent(begin: str, width: int | None) -> str:
    """Return the beginning of a row, only its end where it would leave too little room."""
    return begin if width is None else begin[max(0, columns(begin) - max(0, width - _LEAST)) :]


def _row_end(text: str, start: int, room: int) -> int:
    """Return the end of the row that begins at `start`: after the last whole word, or inside a word that is wider than the room."""
    end, used = start, 0
    while end < len(text) and (used := used + columns(text[end])) <= room:
        end += 1
    end = max(end, start + 1)
    if end < len(text) and text[end] != " ":
        space = text.rfind(" ", start, end)
        if space > start and text[start:space].strip():
            return space
    return end


def _part(line: Line, start: int, end: int) -> Line:
    """Return the characters of a line from `start` up to `end`."""
    out: list[Segment] = []
    for text, style in line:
        if text[max(0, start) : max(0, end)]:
            out.append((text[max(0, start) : max(0, end)], style))
        start, end = start - len(text), end - len(text)
    return tuple(out)
