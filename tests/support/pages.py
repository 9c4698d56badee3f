"""Pages of the documentation as tests read them."""

import re


def commands_of(page: str) -> list[tuple[str, list[str]]]:
    """Return each command of a page with the lines of output shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found
