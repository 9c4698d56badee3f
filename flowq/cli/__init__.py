r"""The command line: argv -> one call -> render -> exit code. It decides nothing.

What it owns: how arguments are spelled, how a run looks on a terminal and in a pipe, where errors go and which exit code
stands for what. What it must not know: keys, scripts, transitions, how a flow is compiled. It asks `flowq.compiler`,
`flowq.flows` and `flowq.store`, and shows `flowq.flows.views.run_view`.

The steps of a command:
    main         the group with its lazily loaded commands and the one error boundary
    options/     arguments to values
    context      what every command shares: the server's address and the streams; `terminal` says what these can show
    targets      from what people type (`@latest`, a prefix, a job's name) to ids
    commands/    one module per command: options, help with an example, one call
    flow_file, execution   compile a file; start the worker of a run
    follow/      a run that goes on: events to a live display, a log, or the log of a CI system
    render/      views to lines of styled text that fit a width; pipes, terminals and the live display show the same lines
    completion/  candidates for the shell

Rules that hold everywhere:
    * Start-up is lean: `flowq --help` imports click and this package, nothing of redis, yaml or rich. Commands import what
      they need.
    * Text from outside is shown through `flowq.flows.views.text`, on a terminal or not.
    * Standard output carries what was asked for, standard error everything else; with `--json` the former is only JSON.
    * Bad input ends in one sentence and an exit code. A traceback of flowq's own code is a bug.
"""
