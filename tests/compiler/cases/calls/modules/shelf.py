"""Names that `work` imports with a star."""


def book(title: str, pages: int) -> str:
    return f"{title} {pages}"
