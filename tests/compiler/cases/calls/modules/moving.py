"""A module with dynamic names."""


def __getattr__(name: str) -> object:
    return name
