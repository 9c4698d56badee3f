"""The entry point: the group of lazily loaded commands, and the one place that turns errors into messages and exit codes."""

import errno
import gc
import os
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

import click

from flowq import __version__
from flowq.cli import exit_codes
from flowq.cli.context import CliContext, url_option
from flowq.cli.terminal import echo
from flowq.connections.imports import import_less
from flowq.exceptions import FlowqError, InvalidFlowError, ServerError, UsageError

_GARBAGE: Final = 50_000  # new objects between garbage collections; imports make many objects and no garbage

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

COMMANDS: Final = {
    "init": "Write a first flow into a directory.",
    "list": "List the flows at and below a directory.",
    "run": "Run a flow, or a part of it, and follow it to its end.",
    "status": "Show a run: its jobs, their states and why.",
    "why": "Explain why a job is waiting, skipped, failed or queued.",
    "retry": "Run failed jobs of a run again, and those that depend on them.",
    "cancel": "Cancel a run, or one job of it.",
    "approve": "Approve or reject a job that waits for approval.",
    "logs": "Show what the jobs of a run printed.",
    "result": "Print the result of a job as JSON.",
    "artifacts": "List and download the files that jobs have left (`artifacts`).",
    "runs": "List the latest runs, newest first.",
    "trace": "Send a run as a trace to a collector of OpenTelemetry (OTLP).",
    "delete": "Delete runs that have ended, with their results and logs.",
    "validate": "Check flow files and show every problem.",
    "plan": "Show what a run would do, and the effect of a failure.",
    "graph": "Draw the graph of a flow, or of a run with its states.",
    "serve": "Run the flows of a directory by themselves.",
    "ui": "Show runs, flows, schedules and workers in a browser.",
    "token": "Make, list and revoke tokens for the API and the page.",
    "schedule": "Show and change the schedules of flows.",
    "notify": "Show where the messages of a flow go (`notify`), and try them.",
    "worker": "Execute the jobs of queues.",
    "worker-pool": "Run several workers, and replace those that die.",
    "enqueue": "Enqueue a call of a Python function.",
    "cron": "Enqueue jobs on a schedule.",
    "requeue": "Requeue failed jobs of a queue.",
    "empty": "Delete the jobs that wait in queues.",
    "info": "Show queues and workers.",
    "metrics": "Print metrics in the text format of Prometheus.",
    "suspend": "Pause all workers.",
    "resume": "Resume suspended workers, or a RUN whose command was killed.",
    "server": "Start, stop or look at the embedded server.",
    "acl": "Print the ACL SETUSER line for a user of the server.",
    "doctor": "Check the server and the workers, and advise what to do.",
    "gc": "Delete expired data from the server.",
    "config": "Show every setting, its value and its source.",
    "completion": "Print the script for completion in bash, zsh or fish.",
    "schema": "Print the JSON Schema of flow files.",
    "version": "Print the version of flowq and of the Python it runs on.",
}
"""All commands with their lines in `flowq --help`.

The module of the same name in `flowq.cli.commands` is imported when the command is called.
"""


GROUPS: Final = {
    "Flows": ("init", "list", "run", "serve", "ui", "schedule", "notify", "validate", "plan", "graph", "schema"),
    "Runs": ("status", "logs", "why", "result", "artifacts", "runs", "trace", "retry", "cancel", "approve", "delete"),
    "Queues": ("worker", "worker-pool", "enqueue", "cron", "requeue", "empty", "info", "metrics", "suspend", "resume"),
    "Server and installation": ("server", "acl", "token", "doctor", "gc", "config", "completion", "version"),
}
"""The order of the commands in `flowq --help`; each of `COMMANDS` is in one group."""

_SYNONYMS: Final = {
    "ps": ("runs",),
    "stop": ("cancel",),
    "lint": ("validate",),
    "check": ("validate",),
    "watch": ("status", "--watch"),
    "rm": ("delete",),
    "log": ("logs",),
}
"""Names from other tools, and the commands that they stand for."""

_MEANT: Final = {
    "rerun": "`flowq retry --failed` runs the failed part of a run again, `flowq run --again RUN` starts a new run like it",
    "restart": "`flowq retry --failed` runs the failed part of a run again, `flowq run --again RUN` starts a new run like it",
    "ls": "`flowq list` lists flows, `flowq runs` lists runs, `flowq info` lists queues and workers",
    "start": "`flowq run FILE` runs a flow, `flowq worker` starts a worker, `flowq server start` the embedded server",
    "explain": "`flowq why JOB` explains what happened to a job, `flowq plan` what a run would do",
    "kill": "`flowq cancel RUN` ends a run, with --force its handlers too",
}
"""Names from other tools that may mean several commands."""


_EXTRA: Final = re.compile(r"^Got unexpected extra arguments? \(([A-Za-z_][\w.-]*=[^ )]*)")
"""The message about a param without `-p`."""


class LazyGroup(click.Group):
    """A group that imports a command only when it is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command's module and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"flowq.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the error for an unknown name suggests the nearest one."""
        name = args[0]
        if name == "help":  # and then a command, as a user of git types it
            if len(args) == 1:
                echo(ctx.get_help())
                ctx.exit()
            args = [*args[1:], "--help"]
            name = args[0]
        if name in COMMANDS:
            return super().resolve_command(ctx, args)
        if name in _SYNONYMS:
            return super().resolve_command(ctx, [*_SYNONYMS[name], *args[1:]])
        from difflib import get_close_matches

        meant = _MEANT.get(name)
        near = get_close_matches(name, COMMANDS, n=1)
        hint = meant or (f"did you mean `flowq {near[0]}`?" if near else "")
        if os.path.isfile(name):  # noqa: PTH113 - a name that is too long is no file
            hint = f"to run a flow file: flowq run {name}"
        raise click.UsageError(f"there is no command {name!r}; {hint}".rstrip("; "), ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the groups of commands from the tables, without importing the commands."""
        width = max(map(len, COMMANDS))
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), COMMANDS[name]) for name in names])


@click.group(
    cls=LazyGroup,
    invoke_without_command=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it: flowq init hello && flowq -C hello run",
)
@click.version_option(__version__, "--version", message="flowq %(version)s")
@click.option(
    "-C",
    "directories",
    type=click.Path(),  # `_enter` tells what is wrong with it
    metavar="DIR",
    multiple=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _parameter, directories: _enter(ctx, directories),
    help="Change to this directory before anything else; several are followed one after the other.",
)
@url_option
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Declarative workflows in YAML, on Redis: compile, run, watch and repeat graphs of jobs.

    Without a server of your own (-u, FLOWQ_REDIS_URL, flowq.toml) flowq starts a private one and keeps its data.
    """
    session = ctx.ensure_object(CliContext)
    if session.begin is not None and ctx.invoked_subcommand is not None:
        session.begin(ctx.invoked_subcommand)
    if os.environ.get("FLOWQ_COMPAT"):
        _stand_in_for_rq()
    try:
        os.getcwd()  # noqa: PTH109 - pathlib is not imported yet
    except FileNotFoundError as error:
        raise UsageError("the working directory does not exist any more: change to another one") from error


def _enter(ctx: click.Context, directories: Sequence[str]) -> None:
    """Change the working directory.

    Raises:
        click.BadParameter: it is not a directory, or may not be entered.
    """
    for directory in directories:
        try:
            os.chdir(directory)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise click.BadParameter(f"cannot change to {directory!r}: {reason}", ctx, param_hint="-C") from error


def _tell_misspelt() -> None:
    """Name the variables that were meant as settings and are not read."""
    if any(name.upper().startswith("FLOWQ_") for name in os.environ):
        from flowq.cli.environment import misspelt

        for name, meant in misspelt(os.environ):
            echo(f"warning: nothing reads the variable {name}: did you mean {meant}?", err=True)


def _stand_in_for_rq() -> None:
    """Let modules of the user that say `import rq` get flowq.

    Raises:
        UsageError: `FLOWQ_COMPAT` has a wrong value, or rq has been imported already.
    """
    import warnings

    from flowq.compat.installation import install, wanted

    if wanted():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            install()
        for warning in caught:
            echo(f"warning: {warning.message}", err=True)


def run(arguments: Sequence[str], begin: Callable[[str], None] | None = None) -> int:
    """Run one command and return its exit code; never raise. `begin`: see `CliContext`."""
    _have_streams()
    _never_fail_to_encode()
    try:
        outcome = _invoke(list(arguments), begin)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the boundary
        return _report(error)
    return outcome if isinstance(outcome, int) else 0


def _have_streams() -> None:
    """Replace standard streams that were closed before the process started (`>&-`).

    Descriptors come first: the next file or socket to be opened would get the number of a closed one, and then all printed text.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(
                os.open(os.devnull, os.O_RDWR), True
            )  # gets the lowest free number, which is this one; workers inherit it
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - open until the end


def _invoke(arguments: list[str], begin: Callable[[str], None] | None) -> object:
    """Call click without its own handling of errors and exit codes, which would also hide a closed pipe."""
    instruction = os.environ.get("_FLOWQ_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "flowq", "_FLOWQ_COMPLETE", instruction)
    if not any(word.startswith("--lifeline=") for word in arguments):  # the parent of this process has told them
        _tell_misspelt()
    session = CliContext(begin=begin)
    with cli.make_context("flowq", arguments, obj=session) as context:
        outcome = cli.invoke(context)
    if refusal := session.take_refusal():
        echo(f"warning: {refusal}", err=True)
    return outcome


def main(begin: Callable[[str], None] | None = None) -> None:
    """Run the command of `sys.argv`."""
    gc.set_threshold(_GARBAGE)
    import_less()
    code = run(sys.argv[1:], begin)
    if code == exit_codes.BROKEN_PIPE:
        _forget_stdout()
    gc.freeze()  # the process ends: skip the last garbage collection
    sys.exit(code)


def _report(error: BaseException) -> int:
    """Write the error to standard error, and return its exit code."""
    if os.environ.get("FLOWQ_DEBUG") and not isinstance(error, click.exceptions.Exit):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    match error:
        case click.exceptions.Exit():
            return error.exit_code
        case SystemExit():
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        case BrokenPipeError():
            return exit_codes.BROKEN_PIPE
        case KeyboardInterrupt() | click.Abort():
            return exit_codes.INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():  # `flowq` alone prints the help
            echo(error.format_message())
            return 0
        case click.ClickException():
            return _say(_usage_text(error), exit_codes.USAGE)
        case FlowqError():
            return _say(str(error), _exit_code(error))
        case OSError() if error.errno in _NO_ROOM:
            _forget_stdout()
            return _say(f"cannot write: {error.strerror}: make room, or write somewhere else", exit_codes.USAGE)
        case _:
            return _report_bug(error)


def _exit_code(error: FlowqError) -> int:
    if isinstance(error, InvalidFlowError):
        return exit_codes.INVALID
    return exit_codes.UNREACHABLE if isinstance(error, ServerError) else exit_codes.USAGE


def _report_bug(error: BaseException) -> int:
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    return _say(
        f"internal error in flowq ({text}); this is a bug. FLOWQ_DEBUG=1 shows where: please report that text", exit_codes.BUG
    )


def _usage_text(error: click.ClickException) -> str:
    text = error.format_message()
    if isinstance(error, click.MissingParameter):
        text = " ".join(text.split())  # a list of choices has a line for each
    if isinstance(error, click.NoSuchOption) and error.option_name == "-C":
        text = f"{text.rstrip('.')}: it stands before the command, as in `flowq -C DIR run`"
    context: Any = getattr(error, "ctx", None)
    if context is None:
        return text
    if (given := _EXTRA.search(text)) and any(param.name == "params" for param in context.command.params):
        text = f"{text.rstrip('.')}: params are given with -p, as in `-p {given[1]}`"
    return f"{text.rstrip('.')}; see `{context.command_path} --help`"


def _say(text: str, code: int) -> int:
    """Write an error message, made safe for terminals, and return the exit code."""
    from flowq.flows.views.text import safe

    # Standard output or error may be closed: then only the exit code remains.
    with suppress(OSError):
        sys.stdout.flush()
        echo(f"error: {safe(text)}", err=True)
    return code


def _never_fail_to_encode() -> None:
    """Write characters that the terminal's encoding lacks as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Redirect standard output, whose reader has gone, so that Python's flush at exit does not fail."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())


if __name__ == "__main__":
    main()
