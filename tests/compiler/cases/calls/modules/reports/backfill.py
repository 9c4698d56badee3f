"""Callables for the jobs of sub-flows."""


def list_files(day: str) -> list[str]:
    return [day]
