"""`module` and `attribute` to a signature, through re-exports, aliases, classes and decorators."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from flowq.compiler.diagnostics.suggestions import close_match, listing
from flowq.compiler.signatures.bindings import Binding, Bindings, Function, Imported, bindings_of, yields
from flowq.compiler.signatures.interpreters import Installed
from flowq.compiler.signatures.modules import Module, Modules
from flowq.compiler.signatures.signature import Problem, Signature, signature_of, without_first
from flowq.expr.types import ANY

MAX_HOPS: Final = 30  # steps from name to name

_TRANSPARENT: Final = frozenset(
    {
        *("flowq.job", "flowq.decorators.job", "rq.job", "rq.decorators.job"),
        *("functools.cache", "functools.lru_cache", "abc.abstractmethod"),
        *("typing.final", "typing.override", "typing.no_type_check", "warnings.deprecated"),
        *("typing_extensions.final", "typing_extensions.override", "typing_extensions.deprecated"),
        *("builtins.staticmethod", "builtins.classmethod"),
    }
)
"""Decorators that keep the parameters and the result of a function."""

_PLAIN_BASES: Final = frozenset({"builtins.object", "abc.ABC", "typing.Generic"})


@dataclass(frozen=True, slots=True)
class _Spot:
    """A scope in which names are looked up: a module, or a class in one."""

    module: Module
    bindings: Bindings


class Lookup:
    """A cached lookup of signatures.

    Args:
        folders: the folders searched first for a job's modules, in this order.
        installed: the packages of the interpreter that executes the jobs; None: this one.
    """

    def __init__(self, folders: Sequence[str], installed: Installed | None = None) -> None:
        self._modules = Modules(folders, installed)
        self._installed = installed
        self._answers: dict[tuple[str, str], Signature | Problem | None] = {}

    def find(self, module: str, attribute: str) -> Signature | Problem | None:
        """Return the signature of a callable, a problem with its name, or None if unknown."""
        key = (module, attribute)
        if key not in self._answers:
            self._answers[key] = self._find(module, attribute)
        return self._answers[key]

    def names(self, module: str) -> frozenset[str]:
        """Return every name that the source of a module mentions; empty if it cannot be read."""
        found = self._modules.get(module)
        tree = None if found is None else found.tree
        return frozenset() if tree is None else frozenset(_mentioned(tree))

    def _find(self, name: str, attribute: str) -> Signature | Problem | None:
        module = self._modules.get(name)
        if module is None:
            return self._missing_module(name, attribute)
        if module.error:
            message = f"the module `{name}` cannot be imported: {module.file}, {module.error}"
            return Problem("source", name, message, "correct it; the job would fail")
        try:
            return _Walk(self._modules).attribute(module, attribute.split("."))
        except RecursionError:  # Python 3.13 reads annotations and defaults that are nested deeper than it can go through
            return None

    def _missing_module(self, name: str, attribute: str) -> Problem | None:
        parent = self._modules.nearest(name)
        if parent is None:
            if self._installed is not None and not self._installed.complete:
                return None
            top = name.partition(".")[0]
            close = close_match(top, self._modules.beside())
            where = "their Python" if self._installed is None else self._installed.python
            more = "; `python: .venv` names another one" if self._installed is None else ""
            hint = f"jobs look in the directory of the run, beside the flow file and among what {where} has installed{more}"
            return Problem("module", top, f"there is no module `{top}` here", f"did you mean {close}?" if close else hint)
        inner, _, _ = name.removeprefix(parent.name + ".").partition(".")
        if not parent.folders or inner in parent.bindings.names:
            if isinstance(parent.bindings.names.get(inner), ast.ClassDef):
                written = f"{name.removeprefix(parent.name + '.')}.{attribute}"
                message = f"`{name}` is not a module: `{inner}` is a class in {parent.name}"
                return Problem("attribute", name, message, f"write call: {parent.name}:{written}")
            if parent.tree is None:
                return None
        known = self._modules.submodules(parent)
        close = close_match(inner, known)
        hint = f"did you mean {parent.name}.{close}?" if close else f"in {parent.name} are {listing(known)}" if known else ""
        kind = "local" if self._modules.is_local(name) else "module"
        return Problem(kind, f"{parent.name}.{inner}", f"there is no module `{inner}` in `{parent.name}`", hint)


def _mentioned(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.ClassDef(name=name):
                yield name
            case ast.alias(name=name, asname=alias):
                yield alias or name.rpartition(".")[2]
            case _:
                pass


class _Walk:
    """A search with a limited number of steps, because names can refer to each other in cycles."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._left = MAX_HOPS

    def attribute(self, module: Module, path: list[str]) -> Signature | Problem | None:
        """Follow a path of names through a module."""
        self._left -= 1
        if module.tree is None or self._left < 0:
            return None
        spot = _Spot(module, module.bindings)
        found = self._bound(spot, path[0])
        if isinstance(found, Problem) or found is None:
            return found
        return self._value(*found, path[1:])

    def _bound(self, spot: _Spot, name: str) -> tuple[_Spot, Binding] | Problem | None:
        """Return the binding of a name and its scope; None if unknown."""
        module = spot.module
        binding = spot.bindings.names.get(name)
        if binding is not None and name not in spot.bindings.covered:
            return spot, binding
        for star in spot.bindings.stars:
            origin = self._imported_module(module, star)
            self._left -= 1
            if origin is None or origin.tree is None or self._left < 0:
                return None
            found = self._bound(_Spot(origin, origin.bindings), name)
            if not isinstance(found, Problem):
                return found if binding is None else None  # which of the two is in effect depends on the execution
        if binding is not None:
            return spot, binding
        if spot.bindings.dynamic:
            return None
        if module.folders and self._modules.get(f"{module.name}.{name}") is not None:
            return spot, Imported(f"{module.name}.{name}", "", 0)
        return self._missing(module, name)

    def _missing(self, module: Module, name: str) -> Problem:
        known = [item for item, bound in module.bindings.names.items() if isinstance(bound, Function | ast.ClassDef | Imported)]
        own = [item for item in known if isinstance(module.bindings.names[item], Function) and not item.startswith("_")]
        close = close_match(name, known)
        hint = f"did you mean {close}?" if close else f"its functions are {listing(own)}" if own else "it has no functions"
        return Problem("attribute", name, f"`{module.name}` has no `{name}`", f"{hint} ({module.file})")

    def _value(self, spot: _Spot, binding: Binding, path: list[str]) -> Signature | Problem | None:
        """Return the signature of a binding, or of an attribute path from it."""
        self._left -= 1
        if self._left < 0:
            return None
        match binding:
            case Imported():
                return self._imported(spot.module, binding, path)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return None if path else self._function(spot, binding)
            case ast.ClassDef():
                return self._member(spot, binding, path) if path else self._class(spot, binding)
            case ast.Name(id=name) if not path:
                found = self._bound(_Spot(spot.module, spot.module.bindings), name)
                return None if found is None or isinstance(found, Problem) else self._value(*found, path)
            case ast.Lambda(args=arguments) if not path:
                return self._signature(spot, "lambda", arguments, None, binding.lineno)
            case ast.Constant() | ast.List() | ast.Dict() | ast.Tuple() | ast.Set() | ast.JoinedStr() if not path:
                message = "this is a value, not something that can be called"
                return Problem(
                    "attribute", "", message, f"it is {ast.unparse(binding)[:60]} ({spot.module.file}:{binding.lineno})"
                )
            case _:
                return None

    def _imported_module(self, module: Module, origin: Imported) -> Module | None:
        name = origin.module
        if origin.level:
            parts = module.package.split(".")
            above = parts[: len(parts) - origin.level + 1]
            if not all(above) or len(above) < 1:
                return None
            name = ".".join([*above, origin.module] if origin.module else above)
        return self._modules.get(name) if name else None

    def _imported(self, module: Module, origin: Imported, path: list[str]) -> Signature | Problem | None:
        target = self._imported_module(module, origin)
        if target is None:
            return None  # the job's import fails, or the module exists only on workers
        if not origin.name:
            return self._of_module(target, path)
        if target.bindings.names.get(origin.name) is origin:  # `from . import inner` in a package
            inner = self._modules.get(f"{target.name}.{origin.name}")
            return None if inner is None else self._of_module(inner, path)
        if target.tree is None:
            return None
        found = self._bound(_Spot(target, target.bindings), origin.name)
        # Problems inside a module are not the flow's, so they are not reported.
        return None if found is None or isinstance(found, Problem) else self._value(*found, path)

    def _of_module(self, module: Module, path: list[str]) -> Signature | Problem | None:
        if path:
            return self.attribute(module, path)
        message = f"`{module.name}` is a module, not something that can be called"
        return Problem("attribute", "", message, "name a function in it")

    # -- functions and classes ------------------------------------------------------------------------------------------------

    def _function(self, spot: _Spot, function: Function, *, bound: bool = False) -> Signature | None:
        """Return the signature of a function; `bound`: Python passes its first argument."""
        if not all(self.name_of(spot, item) in _TRANSPARENT for item in function.decorator_list):
            return None
        arguments = without_first(function.args) if bound else function.args
        found = self._signature(spot, function.name, arguments, function.returns, function.lineno)
        return replace(found, gives="a generator") if yields(function) else found

    def _signature(self, spot: _Spot, name: str, arguments: ast.arguments, returns: ast.expr | None, line: int) -> Signature:
        return signature_of(name, arguments, returns, f"{spot.module.file}:{line}", lambda node: self.name_of(spot, node))

    def _class(self, spot: _Spot, node: ast.ClassDef) -> Signature | None:
        """Return the signature of a class's constructor: its `__init__`, or that of its only base."""
        self._left -= 1
        if not self._is_plain(spot, node):
            return None
        init = bindings_of(node.body).names.get("__init__")
        if isinstance(init, Function):
            found = self._function(spot, init, bound=True)
            return (
                None
                if found is None
                else replace(found, text=found.text.replace("__init__", node.name, 1), result=ANY, gives="an object")
            )
        if init is not None:
            return None
        bases = [base for base in node.bases if self.name_of(spot, base) != "builtins.object"]
        if not bases:
            return Signature((), ANY, f"{node.name}()", f"{spot.module.file}:{node.lineno}", "an object")
        above = self._base(spot, bases[0]) if len(bases) == 1 else None
        return None if above is None else self._class(*above)

    def _is_plain(self, spot: _Spot, node: ast.ClassDef) -> bool:
        """Return whether a class and its bases are constructed by `__init__`: no metaclass, no `__new__`, no decorator."""
        self._left -= 1
        if self._left < 0 or node.decorator_list or node.keywords or "__new__" in bindings_of(node.body).names:
            return False
        for base in node.bases:
            if self.name_of(spot, base) not in _PLAIN_BASES:
                above = self._base(spot, base)
                if above is None or not self._is_plain(*above):
                    return False
        return True

    def _base(self, spot: _Spot, base: ast.expr) -> tuple[_Spot, ast.ClassDef] | None:
        """Return a base class whose source can be read, else None."""
        if not isinstance(base, ast.Name):
            return None
        found = self._bound(_Spot(spot.module, spot.module.bindings), base.id)
        for _ in range(MAX_HOPS):
            if found is None or isinstance(found, Problem):
                return None
            where, binding = found
            if isinstance(binding, ast.ClassDef):
                return where, binding
            if not isinstance(binding, Imported) or not binding.name:
                return None
            target = self._imported_module(where.module, binding)
            if target is None or target.tree is None:
                return None
            found = self._bound(_Spot(target, target.bindings), binding.name)
        return None

    def _member(self, spot: _Spot, node: ast.ClassDef, path: list[str]) -> Signature | Problem | None:
        """Return the signature of an attribute of a class, called through the class."""
        self._left -= 1
        if self._left < 0:
            return None
        inside = bindings_of(node.body)
        found = inside.names.get(path[0])
        if found is None:
            bases = [base for base in node.bases if self.name_of(spot, base) != "builtins.object"]
            if (
                not bases
                and not node.decorator_list
                and not node.keywords
                and not inside.dynamic
                and not hasattr(object, path[0])
            ):
                own = [name for name, bound in inside.names.items() if isinstance(bound, Function) and not name.startswith("_")]
                close = close_match(path[0], inside.names)
                hint = f"did you mean {close}?" if close else f"its methods are {listing(own)}" if own else "it has none"
                return Problem("attribute", path[0], f"the class `{node.name}` has no `{path[0]}`", hint)
            above = self._base(spot, bases[0]) if len(bases) == 1 else None
            return None if above is None else self._member(*above, path)
        if isinstance(found, Function) and len(path) == 1:
            names = [self.name_of(spot, item) for item in found.decorator_list]
            method = self._function(spot, found, bound="builtins.classmethod" in names)
            return None if method is None else replace(method, text=f"{node.name}.{method.text}")
        return self._member(spot, found, path[1:]) if isinstance(found, ast.ClassDef) and len(path) > 1 else None

    # -- names ----------------------------------------------------------------------------------------------------------------

    def name_of(self, spot: _Spot, node: ast.expr) -> str:
        """Return the full name of a decorator, annotation or base: `functools.cache`, `builtins.int`; "" if unknown."""
        if isinstance(node, ast.Call):
            node = node.func
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        found = self._bound(_Spot(spot.module, spot.module.bindings), node.id)
        if isinstance(found, Problem):
            return ".".join(["builtins", node.id, *parts])
        if found is None:
            return ""
        where, binding = found
        if isinstance(binding, Imported):
            return "" if binding.level else ".".join([part for part in (binding.module, binding.name) if part] + parts)
        return "" if where.module is spot.module else ".".join([where.module.name, node.id, *parts])
