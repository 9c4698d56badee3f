"""Stubs for the guide's flows; also a program: `python -m reports.build`."""

import sys


def build(fmt: str, lang: str, theme: str) -> str:
    return f"{fmt}-{lang}-{theme}"


if __name__ == "__main__":
    sys.stdout.write(" ".join(sys.argv[1:]) + "\n")
