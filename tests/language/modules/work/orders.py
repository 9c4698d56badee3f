"""Stubs for the guide's flows."""


def late(day: str, *, limit: int = 100) -> list[str]:
    return [f"{day}-{limit}"]


def remind(order: str) -> str:
    return order
