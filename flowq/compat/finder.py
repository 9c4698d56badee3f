"""The finder: `rq` and `rq.*` are other names of flowq's modules."""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from importlib.machinery import ModuleSpec

from flowq.compat.modules import PACKAGE, additions_to, home_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from importlib.metadata import Distribution, DistributionFinder
    from types import ModuleType


class Finder:
    """Finds modules of RQ in flowq, and the distribution `rq`. Modules that RQ does not have are not found."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:  # noqa: ARG004
        """Return how a module of RQ is loaded, None for modules of other packages.

        Raises:
            ModuleNotFoundError: flowq does not have this module of RQ. Later finders are not asked: they would find flowq's own files
                in the folders of its packages and load them twice.
        """
        package, _, module = name.partition(".")
        if package != PACKAGE:
            return None
        home = home_of(module)
        if home is None:
            raise ModuleNotFoundError(
                f"No module named {name!r}: flowq, which stands in for rq, has none of that name", name=name
            )
        return ModuleSpec(name, _Alias(home, module))  # type: ignore[arg-type] # the class of loaders is a slow import

    @staticmethod
    def find_distributions(context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        """Return the distribution `rq` where it is asked for by name."""
        if context is None or (context.name or "").lower() != PACKAGE:
            return ()
        from flowq.compat.metadata import RqDistribution

        return (RqDistribution(),)

    @staticmethod
    def invalidate_caches() -> None:
        """Do nothing: there is nothing to forget."""


class _Alias:
    """Loads a module under its name in RQ: the same object as under its own name."""

    def __init__(self, home: str, module: str) -> None:
        self._home, self._module = home, module

    @staticmethod
    def create_module(_spec: ModuleSpec) -> ModuleType | None:
        """Leave it to Python to make the module, which `exec_module` replaces."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Put flowq's module in the place of the new one; the import system allows that and returns the one in `sys.modules`.

        Hooks that wait for this import know the module by the name in the new one, and get that one: it answers as flowq's does.
        """
        home = import_module(self._home)
        module.__dict__["__getattr__"] = partial(getattr, home)
        for addition in additions_to(self._module):
            import_module(addition)
        sys.modules[module.__name__] = home
