"""Stubs for the guide's flows."""

from typing import Any


def list_files(day: str | None = None) -> list[str]:
    return [f"{day}-{number}.csv" for number in range(3)]


def fetch(day: str, region: str) -> list[str]:
    return [day, region]


def fetch_one(item: str, index: int) -> str:
    return f"{index}: {item}"


def merge(found: Any) -> Any:
    return found
