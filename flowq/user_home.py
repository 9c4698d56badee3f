"""The home directory of the user, below which flowq keeps what it is told no other place for."""

import os


def absent_home(path: str) -> str:
    """Return the user's home directory if a path lies below it and it does not exist: it is a mistake, or means none; else "".

    Accounts of services have such a home. One who may make directories everywhere would make it unasked.
    """
    home = os.path.expanduser("~")
    below = os.path.isabs(home) and path.startswith(home.rstrip("/") + "/")
    return home if below and not os.path.isdir(home) else ""
