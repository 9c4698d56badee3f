"""The compiler: the text of a flow file in, a `Plan` or diagnostics out.

It is pure. It reads the flow file, the files that the flow names (sub-flows, `dotenv`, parameter files) and the source of the modules that
its jobs call, and nothing else: no Redis, no clock, no environment, no import or execution of user code. The same files, parameters and
date give the same plan.

Each folder is a stage with types of its own, so that a later stage cannot hold what an earlier one should have settled. A stage imports only
the stages above it in this list; the import contract in pyproject.toml holds the order.

    diagnostics  codes, places and suggestions; the only place where a diagnostic becomes text
    syntax       bytes -> text with an index of lines (`source`) -> tree of nodes with places (`parser`) -> checked against
                 schemas/flow.schema.json (`schema`); no value of a secret leaves it in a diagnostic (`redaction`)
    expressions  the texts of the tree in which `${{ }}` stands, parsed, their names checked; expressions that are constant, evaluated
    params       declarations and given values -> bound parameters
    shell        scripts with `${{ }}` -> scripts with quoted variables, or a refusal
    binding      defaults, templates and `extends` merged; maps -> typed jobs (`spec`); `stages` -> dependencies
    signatures   the callables that jobs name -> their signatures, read from source
    analysis     the graph and its cycles, the cells of matrices, types of expressions, arguments of calls, warnings
    units        all of this for a flow and for its sub-flows
    emit         units -> `Plan`, under the names of the whole run
    compile      the chain, from a file name to a `Compilation`

Every stage reports into one `Report` and goes on as far as it makes sense: all problems of a file are reported at once. No input raises an
exception, hangs or exhausts memory: limits are checked before the work is done.
"""

from flowq.compiler.compile import Compilation, compile_file, compile_text
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Diagnostic, render

__all__ = ["Code", "Compilation", "Diagnostic", "compile_file", "compile_text", "render"]
