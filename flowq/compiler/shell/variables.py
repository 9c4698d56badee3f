"""Environment variables that change how programs load or how a shell reads its script."""

import re
from typing import Final

_LOADING: Final = re.compile(
    r"LD_.*|DYLD_.*|PYTHON.*|BASH_.*|BASHOPTS|SHELLOPTS|ENV|PS4|PROMPT_COMMAND|IFS|PATH|PERL5.*|PERLLIB|RUBYOPT|RUBYLIB|NODE_.*|GIT_.*|"
    r"JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|GCONV_PATH|LOCPATH|GLOBIGNORE"
)


def protected(name: str) -> bool:
    """Return whether a variable changes how programs load or how the shell reads, so that no value may choose it."""
    return _LOADING.fullmatch(name) is not None
