"""The compiler: the text of a flow file in, a `Plan` or diagnostics out.

It is pure. It reads the file it is given, those that this one names (sub-flows, `dotenv`) and the source of the modules that it calls, and
nothing else: no Redis, no clock, no environment, no import or execution of the user's code. The same files, parameters and date give the
same plan.

A chain of passes, each with a type of its own, so that a later one cannot hold what an earlier one should have settled:

    source   bytes -> text with an index of lines            (limits on size, encoding and characters)
    reader   text -> tree of nodes that know their place     (YAML 1.2; limits on depth and number)
    schema   the tree has the shape that schemas/flow.schema.json describes
    params   declarations and given values -> bound parameters
    merge    defaults, templates, extends -> one map per job
    jobs     maps -> typed jobs (`spec`), their expressions parsed; scripts made safe (`scripts`); references to secrets (`secrets`) and
             where they leak (`leaks`); `stages` -> dependencies
    expand   matrix -> cells
    graph    names -> edges, order, cycles
    calls    callables and their arguments against the source of what is called (`signatures`)
    checks   expressions against names, ancestors and types
    likely   warnings about what is allowed and hardly meant
    units    all of this for a flow and for the flows that are parts of it
    emit     units -> Plan, under the names of the whole

Every pass reports into one `Report` and goes on as far as it makes sense: all problems of a file are told at once. No input raises, hangs
or eats memory: limits are checked before the work is done.
"""

from flowq.compiler.compile import Compilation, compile_file, compile_text
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Diagnostic, render

__all__ = ["Code", "Compilation", "Diagnostic", "compile_file", "compile_text", "render"]
