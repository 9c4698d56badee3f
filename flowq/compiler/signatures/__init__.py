"""Signatures: the parameters and results of the callables of a flow, read from their source.

User code is never imported and never run. A module is found as a job would find it, its source is parsed, and the requested name is
resolved: functions, classes, methods, imported names. Python can rebind any name at run time, so the package prefers no answer to a
wrong one: an unknown decorator, an unreadable star import, an extension module or a missing base class all mean "unknown".

    interpreters an interpreter's path -> where its packages are
    modules      a module's name -> its file on the path, parsed once (limits on size and number)
    bindings     the statements of a module or class -> the names they bind
    annotations  an annotation -> the JSON that fits it, and its type in expressions
    signature    the parameters in the source -> a `Signature`
    lookup       module and attribute -> a signature, or a problem with the name

It uses `ast` instead of a library that models packages (griffe): only one name of a module is needed, importing `ast` takes 7 ms and
griffe 70, and limits must be checked before the work is done.
"""

from flowq.compiler.signatures.annotations import Fit, misfit
from flowq.compiler.signatures.interpreters import Installed, read_installed
from flowq.compiler.signatures.lookup import Lookup
from flowq.compiler.signatures.signature import Parameter, Problem, Signature

__all__ = ["Fit", "Installed", "Lookup", "Parameter", "Problem", "Signature", "misfit", "read_installed"]
