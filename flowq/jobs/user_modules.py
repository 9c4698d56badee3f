"""Import of a Python file or module that a user names, with errors of one sentence."""

import importlib
import importlib.util
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flowq.exceptions import FlowqError, UsageError, UserFileNotFoundError, UserModuleError

if TYPE_CHECKING:
    from types import ModuleType

NOT_IMPORTABLE = "flowq_file_"
"""The prefix of the names of modules that were loaded from files which `import` does not find."""


def import_user_module(path: str, what: str) -> "ModuleType":
    """Execute a Python file, or a module by its dotted name, and return it; again if it was imported before.

    A file below a directory of `sys.path` is imported under the name that it has there, as workers with the same path would.

    Args:
        path: the file (`.py` may be left out), or the dotted name.
        what: what it is for people, such as "cron configuration".

    Raises:
        UserFileNotFoundError: there is no such file.
        UserModuleError: there is no such module, or its code raised something; names the line.
    """
    importlib.invalidate_caches()
    file = _file(path, what)
    module = path if file is None else _importable(file)
    try:
        return _by_path(file) if file is not None and module is None else _by_name(module or path)
    except Exception as error:
        raise _explained(path, what, file, error) from error


def _file(path: str, what: str) -> Path | None:
    """Return the file that a path names, None for a dotted name."""
    place = Path(path)
    for candidate in (place, place.with_name(place.name + ".py")) if place.name else ():
        if candidate.is_file():
            return candidate.resolve()
    if path.endswith(".py") or "/" in path:
        raise UserFileNotFoundError(f"there is no {what} {path}: expected a Python file or the dotted name of a module")
    return None


def _importable(file: Path) -> str | None:
    """Return the dotted name under which a file can be imported, None when it cannot."""
    for entry in sys.path:
        with suppress(ValueError, OSError):
            relative = file.relative_to(Path(entry or ".").resolve()).with_suffix("")
            if all(part.isidentifier() for part in relative.parts) and file.suffix == ".py":
                return ".".join(relative.parts)
    return None


def _by_name(module: str) -> "ModuleType":
    if module in sys.modules:
        return importlib.reload(sys.modules[module])
    return importlib.import_module(module)


def _by_path(file: Path) -> "ModuleType":
    from importlib.machinery import SourceFileLoader

    name = f"{NOT_IMPORTABLE}{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file, loader=SourceFileLoader(name, str(file)))
    if spec is None or spec.loader is None:
        raise ImportError("it is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _explained(path: str, what: str, file: Path | None, error: Exception) -> UsageError:
    if isinstance(error, ModuleNotFoundError) and file is None and error.name and (path + ".").startswith(error.name + "."):
        return UserModuleError(
            f"there is no {what} {path}: expected a Python file or the dotted name of a module (-P adds a directory to look in)"
        )
    if isinstance(error, SyntaxError):
        return UserModuleError(f"{error.filename or path}, line {error.lineno}: {error.msg}")
    package = Path(__file__).parents[1]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    theirs = [frame for frame in frames if package not in Path(frame.filename).parents]
    where = f"{theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else f"{what} {path}"
    text = str(error) if isinstance(error, FlowqError) else f"{type(error).__name__}: {error}".rstrip(": ")
    return UserModuleError(f"{where}: {text}")
