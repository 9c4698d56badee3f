r"""The command line: argv -> one call -> render -> exit code. It makes no decisions.

It owns the syntax of arguments, the display of runs on terminals and in pipes, error output and exit codes. It must not know
keys, scripts, transitions or the stages of the compiler. It calls `flowq.compiler`, `flowq.flows` and `flowq.store`, and shows
`flowq.flows.views.run_view`.

The steps of a command:
    main         the group of lazily loaded commands, and the one error boundary
    options/     arguments to values
    context      state that all commands share: the server's address and the streams (`terminal`: their capabilities)
    targets      what users type (`@latest`, a prefix, a job's name) to ids
    commands/    one module per command: options, help with an example, one call
    flow_file, execution   compile a file; start the worker of a run
    follow/      follow an active run: events to a live display, a log, or the log of a CI system
    render/      views to lines of styled text that fit a width; pipes, terminals and the live display show the same lines
    completion/  candidates for the shell

Rules for all modules:
    * Start-up is light: `flowq --help` imports click and this package, but not redis, yaml or rich. Commands import what
      they need.
    * Untrusted text is made safe by `flowq.flows.views.text` before it is shown, on a terminal or not.
    * Standard output carries the requested data, standard error everything else; with `--json` the former is only JSON.
    * Bad input ends in one sentence and an exit code. A traceback of flowq's own code is a bug.
"""
