"""Callables whose signatures the cases check."""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Optional, Union

import flowq
from reports.ingest import fetch as fetched
from shelf import *

LIMIT = 3


def whole(number: int) -> int:
    return number


def many(first: str, /, second: str, *, third: str = "c") -> None:
    del first, second, third


def none() -> str:
    return ""


def collect(*items: str, **sizes: int) -> list[str]:
    return [*items, *sizes]


def typed(
    text: str = "",
    number: float = 0,
    flag: bool = False,
    names: list[str] | None = None,
    table: dict[str, int] | None = None,
    colour: Literal["red", "green", 3] = "red",
) -> dict[str, Any]:
    return {"text": text, "number": number, "flag": flag, "names": names, "table": table, "colour": colour}


def older(text: Optional[str], other: Union[int, str, None] = None, late: "int" = 0, unset: str = None) -> Sequence[str]:
    return [str(text), str(other), str(late), unset]


def loose(
    when: "Any", path: object, data: Mapping[str, Sequence[int]], words: Sequence[str], pair: tuple[int, str] = (1, "")
) -> bool:
    return bool(when and path and data and words and pair)


def factory(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


@factory
def wrapped(a: int) -> int:
    return a


@functools.lru_cache(maxsize=None)
def cached(a: int) -> int:
    return a


@flowq.job("low")
def queued(a: int) -> int:
    return a


if sys.platform == "win32":

    def either(a: int) -> int:
        return a

else:

    def either(a: int, b: int) -> int:
        return a + b


async def later(seconds: float) -> str:
    return str(seconds)


short = whole
doubled = lambda x: 2 * x
partial = functools.partial(many, "a")


class Report:
    def __init__(self, title: str, pages: int = 1) -> None:
        self.title, self.pages = title, pages

    @staticmethod
    def make(title: str) -> str:
        return title

    @classmethod
    def load(cls, path: str) -> dict[str, str]:
        return {"path": path}

    def method(self, page: int) -> int:
        return page + self.pages


class Sheet(Report):
    pass


class Plain:
    class Inner:
        @staticmethod
        def run(a: int) -> int:
            return a


def rows(count: int):
    yield from range(count)


def languages() -> set[str]:
    return {"en", "de"}
