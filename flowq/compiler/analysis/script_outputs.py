"""The outputs that a script plainly writes as text: `echo "rows=3" >> "$FLOWQ_OUTPUT"`.

Their values are strings, whatever they look like. Other writers (programs, here-documents, lines of JSON) are not read: a script that
has one of them tells nothing.
"""

import re
from functools import lru_cache
from typing import Final

_COMMENT: Final = re.compile(r"(?m)^[ \t]*#.*$")
_MENTION: Final = re.compile(r"\bFLOWQ_OUTPUT\b")
_WRITE: Final = re.compile(
    r"""\b(?:echo|printf)[ \t]+(?:-[neE]+[ \t]+)*
    (?:"(?P<double>[A-Za-z_][\w.-]*)(?:=|<<)[^"\n]*" | '(?P<single>[A-Za-z_][\w.-]*)(?:=|<<)[^'\n]*' | (?P<bare>[A-Za-z_][\w.-]*)=)
    (?:"[^"\n]*" | '[^'\n]*' | \$\([^()\n]*\) | [^\n;|&"'>])*
    >>?[ \t]*"?\$\{?FLOWQ_OUTPUT\b""",
    re.ASCII | re.VERBOSE,
)


@lru_cache(maxsize=1024)
def text_outputs(script: str) -> tuple[str, ...]:
    """Return the names of the outputs that a script of a POSIX shell writes as text, if it writes no other."""
    if "FLOWQ_OUTPUT" not in script:
        return ()
    script = _COMMENT.sub("", script)
    found = [match["double"] or match["single"] or match["bare"] for match in _WRITE.finditer(script)]
    return tuple(dict.fromkeys(found)) if len(found) == len(_MENTION.findall(script)) else ()
