"""Lines of styled text that fit a width; all displays show them."""

from typing import Final, TypeAlias

Segment: TypeAlias = tuple[str, str]  # safe text, name of a style
Line: TypeAlias = tuple[Segment, ...]

STYLES: Final = {"": "", "good": "32", "bad": "31", "warn": "33", "busy": "36", "dim": "2", "bold": "1", "badbold": "1;31"}
"""Style names and their SGR parameters; only the sixteen colours of the terminal's theme."""

RICH_STYLES: Final = {
    "": "",
    "good": "green",
    "bad": "red",
    "warn": "yellow",
    "busy": "cyan",
    "dim": "dim",
    "bold": "bold",
    "badbold": "bold red",
}


def paint(line: Line, *, color: bool) -> str:
    """Return a line as text without trailing spaces, with escape sequences if `color`."""
    if not color:
        return "".join(text for text, _style in line).rstrip()
    return "".join(f"\x1b[{STYLES[style]}m{text}\x1b[0m" if STYLES[style] and text.strip() else text for text, style in line)


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
