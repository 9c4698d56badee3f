"""The compiler: the text of a flow file in, a `Plan` or diagnostics out.

It is pure. It reads only the flow file, the files that the flow names (sub-flows, `dotenv`, parameter files) and the source of the
modules that its jobs call: no Redis, no clock, no environment, no import or execution of user code. The same files, parameters and date
give the same plan.

Each folder is a stage with its own types, so that later stages get no unresolved values. A stage imports only the stages above it in this
list; the import contract in pyproject.toml enforces the order.

    diagnostics  codes, spans, suggestions, and the rendering of diagnostics
    syntax       bytes -> text with an index of lines (`source`) -> tree of nodes with spans (`parser`) -> checked against
                 schemas/flow.schema.json (`schema`); values of secrets are removed from diagnostics (`redaction`)
    expressions  strings with `${{ }}` -> parsed expressions with checked names; constant expressions -> values
    params       declarations and given values -> bound parameters
    shell        scripts with `${{ }}` -> scripts with quoted variables, or a refusal
    binding      defaults, templates and `extends` merged; maps -> typed jobs (`spec`); `stages` -> dependencies;
                 schedules, triggers and messages (`starts`)
    signatures   the callables that jobs name -> their signatures, read from source
    analysis     the graph and its cycles, the cells of matrices, types of expressions, arguments of calls, warnings
    units        all of these for a flow and for its sub-flows
    emit         units -> `Plan`, with names that are unique in the run
    compile      all stages, from a file name to a `Compilation`
    outline      the names in a flow file, also in one with mistakes; for lists and completion

Every stage reports into one `Report` and continues as far as possible, so that all problems of a file are reported at once. No input
raises an exception, hangs or exhausts memory: limits are checked before the work is done.
"""

from flowq.compiler.compile import Compilation, compile_file, compile_text
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Diagnostic, render

__all__ = ["Code", "Compilation", "Diagnostic", "compile_file", "compile_text", "render"]
