"""Signatures: what the callables of a flow take and give, read from their source.

User code is never imported and never run. A module is found as a job would find it, its text is parsed, and the one name that is asked for is
followed through it: functions, classes, methods, names imported from elsewhere. Python lets a name be anything at run time, so the rule of
this package is to say nothing rather than something wrong: a decorator it does not know, a star import it cannot read, a module of C, a
base class it cannot find all mean "unknown".

    modules      the module of a name: its file on the path, parsed once       (limits on size and number)
    bindings     what the statements of a module or class bind to names
    annotations  an annotation -> the JSON that fits it, and the type that expressions see
    signature    the text of parameters -> what can be asked about them
    lookup       module and attribute -> a signature, or what is wrong with the name

`ast` and not a library that models packages (griffe): of a module of thousands of lines one name is wanted, importing `ast` takes 7 ms where
griffe takes 70, and the limits have to hold before the work is done.
"""

from flowq.compiler.signatures.annotations import Fit, misfit
from flowq.compiler.signatures.lookup import Lookup, Problem
from flowq.compiler.signatures.signature import Parameter, Signature

__all__ = ["Fit", "Lookup", "Parameter", "Problem", "Signature", "misfit"]
