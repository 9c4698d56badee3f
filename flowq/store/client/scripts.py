"""The Lua files: loading, composing and calling them.

A transition is one file `lua/<noun>/<verb>.lua`, called after what changes and what happens to it. Its header says what it is
(`-- edges:`, `-- args:`, `-- guard:`, `-- replies:`) and what it is composed of (`-- uses:`). A script is put together from the
prelude, the check of the incarnation, the used fragments in order of their dependencies, and the transition itself, with keys and
shared constants written out: composites share the fragments, so no rule is stated twice.

All of them together are a library of functions (`library_text`), which the server reads once. There each file is a block: its local names
are its own, and a value that belongs to one call stands on a line that says `-- per call`, because the closures outlive the call. One that may
stay, because it only saves work, stands on a line that says `-- outlives calls`. A server without functions gets the scripts.

The closures of a script are made again by every call: a job takes 300 µs of the server by scripts and 97 by functions. A transition that says `-- memory: also when none is
left` is not refused by a server that has reached its maxmemory: otherwise live workers would count as dead. One that says `-- rights:` asks
itself for the rights of its user, those first that it names (see lib/rights); the others are refused at their start.

Arguments are flat texts read in order by the script; `flatten` writes lists with their length in front.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Final

from flowq.store.schema import constants, keys, rights
from flowq.store.schema.constants import with_constants
from flowq.store.schema.keys import with_keys

_LUA: Final = Path(__file__).parents[1] / "lua"
_HEADER: Final = re.compile(r"^-- (?P<key>[\w/]+): *(?P<value>.*)$")
_COMMAND: Final = re.compile(r"'([A-Z]+)'")
_LIBRARY: Final = """local LIBRARY = '{name}'
local KEYS, ARGV, rights, incarnation, suspended, served
{prelude}
local at_start = {{}}
local function guard()
{guard}end
local function register(name, transition, flags, guarded, needed, asks)
  redis.register_function{{ function_name = LIBRARY .. '_' .. name, flags = flags, callback = function(keys, arguments)
    KEYS, ARGV, rights = keys, arguments, needed
    {values}
    for i = 1, #at_start do at_start[i]() end
    local refused = guarded and guard()
    if refused then return refused end
    if not asks then L.ask() end
    return transition()
  end }}
end
"""
_ALWAYS: Final = "#!lua flags=allow-oom"
_UNGUARDED: Final = frozenset({"namespace/open"})
_RIGHTS: Final = "lib/rights"


@dataclass(frozen=True, slots=True)
class Header:
    """The contract on top of a Lua file."""

    name: str
    summary: str
    edges: frozenset[tuple[str, str]]
    args: str
    guard: str
    replies: str
    uses: tuple[str, ...]
    always: bool = False  # of a transition: carried out also when the server has no memory left
    rights: tuple[str, ...] | None = (
        None  # of a transition that asks for the rights of its user itself: the ones it asks for first
    )


class ScriptText(str):
    """The text of a script. Its `repr` is its name: error reports and traces show commands, and would show thousands of lines."""

    __slots__ = ("name",)
    name: str

    def __repr__(self) -> str:
        return f"<script {self.name}>"


class Script:
    """A transition as a script, composed when it is needed: most servers have functions.

    Args:
        name: of the transition.
        compose: returns the text.
    """

    def __init__(self, name: str, compose: Callable[[], str]) -> None:
        self.name = name
        self._compose = compose

    @cached_property
    def text(self) -> ScriptText:
        """The text."""
        shown = ScriptText(self._compose())
        shown.name = self.name
        return shown

    @cached_property
    def sha(self) -> str:
        """The digest under which the server knows it."""
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


def transition_names() -> list[str]:
    """Return the names of all transitions, sorted."""
    return sorted(name for name in _names() if not name.startswith("lib/"))


@cache
def read_header(name: str) -> Header:
    """Read the contract of a transition or fragment."""
    values: dict[str, str] = {}
    for line in _text(name).splitlines():
        match = _HEADER.match(line)
        if match is None and not line.startswith("--"):
            break
        if match is not None and match["key"] not in values:
            values[match["key"]] = match["value"].strip()
    edges = re.sub(r"\([^)]*\)", "", values.get("edges", "-"))
    pairs = [tuple(part.strip() for part in edge.split("->")) for edge in edges.split(",")] if "->" in edges else []
    uses = values.get("uses", "-")
    return Header(
        name=name,
        summary=values.get(name, ""),
        edges=frozenset((pair[0], pair[1]) for pair in pairs),
        args=values.get("args", ""),
        guard=values.get("guard", ""),
        replies=values.get("replies", ""),
        uses=() if uses in {"-", "-."} else tuple(uses.rstrip(".").split()),
        always="memory" in values,
        rights=tuple(values["rights"].split()) if "rights" in values else None,
    )


@cache
def load(name: str, *, bare: bool = False) -> Script:
    """Return the script of a transition; `bare`: without flags, which stand-ins for a server do not know."""
    return Script(name, partial(_compose, name, bare=bare))


def _compose(name: str, *, bare: bool) -> str:
    order = [read_header(item) for item in (_RIGHTS, *_order(name, []))]
    own = order[-1]
    parts = [_ALWAYS] if own.always and not bare else []
    parts += [_text("lib/prelude"), f"local rights = {_rights(name)}"]
    if name not in _UNGUARDED:
        parts.append(_text("lib/incarnation"))
    parts += [f"do\n{_text(header.name)}end" for header in order]  # in all they have more local names than Lua allows at once
    if not _asks(own):
        parts.append("L.ask()")
    return with_keys(with_constants("\n".join([*parts, f"return T.{name.rpartition('/')[2]}()\n"])))


@cache
def function_name(transition: str) -> str:
    """Return the name of a transition's function in the library."""
    return f"{library_name()}_{transition.replace('/', '_')}"


@cache
def library_name() -> str:
    """Return the name of the library. It has the hash of all that it is composed of, so that versions of flowq share a server.

    The files are read, not composed: every process needs the name, and the server lacks the library only once.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    for name in sorted(_names()):
        digest.update(_text(name).encode())
    for module in (__file__, constants.__file__, keys.__file__, rights.__file__):
        digest.update(Path(module).read_bytes())
    return f"flowq_{digest.hexdigest()[:16]}"


@cache
def library_text() -> str:
    """Compose the library: all transitions as functions.

    Its closures are made once, when it is loaded; what belongs to one call is set at the start of each.
    """
    order = [_RIGHTS]
    for name in transition_names():
        _order(name, order)
    prelude, values = _split_per_call(_text("lib/prelude"))
    guard = re.sub(r"^local (incarnation, suspended, served =)", r"\1", _text("lib/incarnation"), flags=re.MULTILINE)
    parts = [
        _LIBRARY.format(name=library_name(), prelude=prelude, values=values, guard=guard),
        *(_block(name) for name in order),
    ]
    body = re.sub(r"^\s*--.*\n", "", "\n".join(parts), flags=re.MULTILINE)
    return f"#!lua name={library_name()}\n{with_keys(with_constants(body))}"


def _block(name: str) -> str:
    """Return a file as a block of the library, so that its local names are its own."""
    text, values = _split_per_call(_text(name))
    parts = ["do", "local T = {}", text]
    if values:
        parts.append(f"at_start[#at_start + 1] = function()\n{values}\nend")
    if not name.startswith("lib/"):
        header, verb = read_header(name), name.rpartition("/")[2]
        flags = "{ 'allow-oom' }" if header.always else "{}"
        guarded, asks = (str(value).lower() for value in (name not in _UNGUARDED, _asks(header)))
        parts.append(f"register('{name.replace('/', '_')}', T.{verb}, {flags}, {guarded}, {_rights(name)}, {asks})")
    return "\n".join([*parts, "end"])


def commands_of(name: str) -> list[str]:
    """Return the commands that a transition may come to, those first that its header names."""
    first = list(read_header(name).rights or ())
    found = set[str]().union(*map(_commands_in, (_RIGHTS, *_order(name, []))))
    return first + sorted(found.intersection(rights.commands_of_scripts()).difference(first))


@cache
def _commands_in(name: str) -> set[str]:
    return {word.lower() for word in _COMMAND.findall(_text(name))}


def _rights(name: str) -> str:
    return "{ " + "".join(f"'{command}', " for command in commands_of(name)) + "}"


def _asks(header: Header) -> bool:
    return header.rights is not None or header.name in _UNGUARDED


def _split_per_call(text: str) -> tuple[str, str]:
    """Take the values of lines that say `-- per call` out of a file; return it with mere declarations, and their assignments."""
    values = []

    def declare(line: re.Match[str]) -> str:
        name = line[1].partition(" =")[0]
        if line[2] == "{}":  # most calls put nothing into most of these tables, and an empty one need not be made again
            values.append(f"if next({name}) then {name} = {{}} end")
            return f"local {name} = {{}}"
        values.append(line[1] + line[2])
        return f"local {name}" if line[0].startswith("local ") else ""

    text = re.sub(r"^(?:local )?(\S[^\n]*? = )([^\n]*?) -- per call.*$", declare, text, flags=re.MULTILINE)
    return text, "\n".join(values)


def _order(name: str, seen: list[str]) -> list[str]:
    for used in read_header(name).uses:
        if used not in seen:
            _order(used, seen)
    if name not in seen:
        seen.append(name)
    return seen


@cache
def _names() -> tuple[str, ...]:
    return tuple(path.relative_to(_LUA).with_suffix("").as_posix() for path in _LUA.glob("*/*.lua"))


def _text(name: str) -> str:
    return (_LUA / f"{name}.lua").read_text(encoding="utf-8")


def flatten(arguments: Iterable[object]) -> list[str | bytes]:
    """Write arguments as the flat texts a script reads: None is empty, booleans 0 and 1, a list is its length and its items."""
    out: list[str | bytes] = []
    for argument in arguments:
        kind = type(argument)  # the usual ones first: each call of a script comes here
        if kind is str or kind is bytes:
            out.append(argument)  # type: ignore[arg-type] # by its type
        elif argument is None:
            out.append("")
        elif kind is bool:
            out.append("1" if argument else "0")
        elif isinstance(argument, (int, float)):
            out.append(str(argument))
        elif isinstance(argument, (list, tuple)):
            out.append(str(len(argument)))
            if argument:
                out.extend(flatten(argument))
        elif isinstance(argument, (str, bytes)):
            out.append(argument)
        else:
            raise TypeError(f"cannot pass a {type(argument).__name__} to a script")
    return out
