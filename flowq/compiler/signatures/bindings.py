"""The names that the statements of a module or a class bind, as far as the source shows."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_DYNAMIC: Final = frozenset({"globals", "locals", "vars", "exec", "eval", "setattr", "__import__"})


@dataclass(frozen=True, slots=True)
class Imported:
    """An imported name: `name` of `module`, or the module itself if `name` is "". `level` counts the dots."""

    module: str
    name: str
    level: int


@dataclass(frozen=True, slots=True)
class Unclear:
    """A name that is bound to an unknown object."""


Binding: TypeAlias = Function | ast.ClassDef | ast.expr | Imported | Unclear


@dataclass(slots=True)
class Bindings:
    """Names and their bindings.

    Attributes:
        names: the binding of each name; `Unclear` if there are several and the last one need not be in effect.
        stars: the modules of star imports.
        covered: names bound before a star import, which may bind them again.
        dynamic: whether names may be bound that the source does not show.
    """

    names: dict[str, Binding] = field(default_factory=dict)
    stars: list[Imported] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)
    dynamic: bool = False

    def bind(self, name: str, binding: Binding, *, surely: bool) -> None:
        """Add a binding. A conditional one does not replace an earlier one: both are possible."""
        self.covered.discard(name)
        self.names[name] = binding if surely or name not in self.names else Unclear()


def bindings_of(body: Iterable[ast.stmt]) -> Bindings:
    """Return the bindings of statements in source order, without recursion, because source can be nested deeply."""
    found = Bindings()
    waiting: list[tuple[ast.AST, bool]] = []
    waiting.extend((statement, True) for statement in reversed(list(body)))
    while waiting:
        node, surely = waiting.pop()
        if _definition(node, found, surely=surely):
            continue
        _expressions(node, found)
        waiting += [(inner, _runs_once(node) and surely) for inner in _inner(node)][::-1]
    found.dynamic = found.dynamic or "__getattr__" in found.names
    return found


def _definition(node: ast.AST, found: Bindings, *, surely: bool) -> bool:
    """Add the bindings of the statement itself; return whether it needs no further visit."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            if not any(_last_name(item) == "overload" for item in node.decorator_list):
                found.bind(node.name, node, surely=surely)
            _globals(node, found)
            return True
        case ast.ClassDef():
            found.bind(node.name, node, surely=surely)
            found.dynamic |= any(_last_name(item) == "global_enum" for item in node.decorator_list)
            return True
        case ast.Import(names=names):
            for item in names:
                whole, short = item.name, item.name.partition(".")[0]
                found.bind(item.asname or short, Imported(whole if item.asname else short, "", 0), surely=surely)
            return True
        case ast.ImportFrom(module=module, names=names, level=level):
            for item in names:
                origin = Imported(module or "", item.name, level)
                if item.name == "*":
                    found.stars.append(origin)
                    found.covered |= found.names.keys()
                else:
                    found.bind(item.asname or item.name, origin, surely=surely)
            return True
        case (
            ast.Assign(targets=[ast.Name(id=name)], value=value)
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
        ):
            found.bind(name, value, surely=surely)
        case _:
            pass
    return False


def _expressions(node: ast.AST, found: Bindings) -> None:
    """Add the names that the expressions of a statement bind, and note whether they could bind others."""
    simple = isinstance(node, ast.AnnAssign) or (
        isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
    )
    waiting = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.stmt)]
    while waiting:
        part = waiting.pop()
        match part:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                if not simple:
                    found.names[name] = Unclear()
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Store()) if isinstance(found.names.get(name), ast.ClassDef):
                found.names[name] = Unclear()  # an attribute assigned to a class from outside
            case ast.Name(id=name) if name in _DYNAMIC:
                found.dynamic = True
            case ast.Attribute(attr="modules", value=ast.Name(id="sys")) | ast.Attribute(attr="_convert_"):
                found.dynamic = True
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                found.names[name] = Unclear()
            case ast.MatchMapping(rest=str(name)):
                found.names[name] = Unclear()
            case _:
                pass
        waiting += [child for child in ast.iter_child_nodes(part) if not isinstance(child, ast.stmt)]


def _globals(function: Function, found: Bindings) -> None:
    """Add the names that a function may bind in its module."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Global):
            for name in node.names:
                found.names[name] = Unclear()
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            waiting += _inner(node)


def yields(function: Function) -> bool:
    """Return whether a function is a generator: it contains a `yield`, not counting nested functions."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, Function | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
    return False


def _inner(node: ast.AST) -> list[ast.AST]:
    """Return the statements, and nodes with statements, inside a statement."""
    return [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case)]


def _runs_once(node: ast.AST) -> bool:
    """Return whether the inner statements are executed whenever the statement is."""
    return isinstance(node, ast.With | ast.AsyncWith)


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
