"""What the jobs of the sub-flows call."""


def list_files(day: str) -> list[str]:
    return [day]
