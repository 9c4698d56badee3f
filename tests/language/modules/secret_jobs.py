"""Jobs with secrets."""

import os
import sys

AT_IMPORT = os.environ.get("TOKEN")


def at_import() -> bool:
    """Return whether the secret was in the environment when the module was imported."""
    return AT_IMPORT is not None


def lengths(*names: str) -> dict[str, int | None]:
    """Return the lengths of some variables, null for missing ones."""
    return {name: len(os.environ[name]) if name in os.environ else None for name in names}


def inherited() -> list[str]:
    """Return the names of the variables with which this process, and so its fork server, was started."""
    with open("/proc/self/environ", "rb") as file:
        return sorted(os.fsdecode(entry.partition(b"=")[0]) for entry in file.read().split(b"\0") if entry)


def tell(name: str) -> dict[str, object]:
    """Print a secret in pieces and to standard error, and return it."""
    for character in os.environ[name]:
        os.write(1, os.fsencode(character))
    os.write(1, b"\n")
    sys.stderr.write(f"{os.environ[name]!r} to err")
    return {"inside": [f"<{os.environ[name]}>"], "plain": 1}


def fail(name: str) -> None:
    """Raise an error that contains a secret, from another such error."""
    try:
        os.environ[os.environ[name]]
    except KeyError as error:
        raise ValueError(f"cannot use {os.environ[name]}") from error


def rotate(path: str, name: str) -> int:
    """Change the secret and fail in the first attempt; then return the length of the new one."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("the-new-value\n")
    if os.environ["FLOWQ_ATTEMPT"] == "1":
        raise RuntimeError("try again")
    return len(os.environ[name])
