"""Stubs for the guide's flows."""


def publish(files: list[str]) -> int:
    return len(files)
