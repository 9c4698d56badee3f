"""Stand-ins."""


def publish(files: list[str]) -> int:
    return len(files)
