"""The worker of `flowq.worker.main`: from its arguments to its exit code.

The server's address comes from the environment or the configuration, never from the command line: other users can read that.
"""

import argparse
import errno
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from flowq import defaults
from flowq.config import load_settings
from flowq.connections.clients import open_store
from flowq.exceptions import FlowqError, ServerError, UsageError
from flowq.isolation import EXPECTED, read_isolation
from flowq.log_format import log_to_stderr
from flowq.worker.ipc.platform import describe
from flowq.worker.options import WorkerOptions
from flowq.worker.supervise import supervise

if TYPE_CHECKING:
    from flowq.worker.executor_settings import ExecutorSettings

_USAGE_ERROR = 2
_UNREACHABLE = 6
_FAILED = 1
_NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE}


def work() -> int:
    """Run a worker and return the exit code: 0 stopped, 1 could not go on, 2 usage, 6 the server or its data cannot be used."""
    arguments = _parser().parse_args()
    if arguments.orders is not None:
        ordered = _await_orders(arguments.orders)
        if ordered is None:
            return 0
        arguments = ordered
    log_to_stderr(arguments.log_level, arguments.log_format, arguments.date_format, sparing=True)
    try:
        store = open_store(arguments.url, arguments.namespace, follow=False)
        try:
            return supervise(store, _options(arguments))[0]
        finally:
            store.close()
    except ServerError as error:
        sys.stderr.write(f"error: {error}\n")
        return _UNREACHABLE
    except FlowqError as error:
        sys.stderr.write(f"error: {error}\n")
        return _USAGE_ERROR
    except OSError as error:
        if error.errno not in _NO_DESCRIPTORS:
            raise
        sys.stderr.write(f"error: the worker cannot go on: {describe(error)}\n")
        return _FAILED


def _await_orders(descriptor: int) -> argparse.Namespace | None:
    """Wait for the orders of this process (see `flowq.flows.local_worker.process`); None when it is no longer needed.

    The slow part, the imports of this module, is done before. The pipe that brings the orders then serves as the lifeline.
    """
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return None
        line += chunk
    orders = json.loads(line)
    if orders["log"] is not None:
        log = os.open(orders["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, sys.stdout.fileno())
        os.dup2(log, sys.stderr.fileno())
        os.close(log)
    os.chdir(orders["directory"])
    arguments = _parser().parse_args(orders["argv"])
    arguments.url = orders["url"]
    if arguments.detached:
        os.close(descriptor)
    else:
        arguments.lifeline = descriptor
    return arguments


def _options(arguments: argparse.Namespace) -> WorkerOptions:
    named = {"name": arguments.name} if arguments.name else {}
    executor = _executor(arguments)
    return WorkerOptions(
        queues=tuple(arguments.queues),
        slots=arguments.slots or (1 if executor is None else executor.slots),
        executor=executor,
        burst=arguments.burst,
        max_jobs=arguments.max_jobs,
        max_idle=arguments.max_idle,
        until_run=arguments.until_run,
        lifeline=arguments.lifeline,
        path=tuple(arguments.path),
        preload=tuple(arguments.preload),
        allow=tuple(arguments.allow),
        isolation=_isolation(arguments.isolation),
        strategy=arguments.strategy,
        result_ttl=arguments.result_ttl,
        warm=not arguments.no_warm,
        lease=arguments.lease,
        beat=arguments.lease * defaults.BEAT / defaults.LEASE,
        alone=True,
        **named,
    )


def _executor(arguments: argparse.Namespace) -> "ExecutorSettings | None":
    """Return the settings of the executor that was asked for."""
    if not arguments.executor:
        return None
    from flowq.worker.executor_settings import load_executor

    executor = load_executor(arguments.executor)
    if arguments.preload:
        raise UsageError(f"--preload is not for executor {executor.name}: its nodes import what jobs need")
    return replace(executor, log=(arguments.log_level, arguments.log_format, arguments.date_format))


def _isolation(asked: dict[str, str] | None) -> dict[str, str]:
    """Return what was asked for, else the setting."""
    if asked is not None:
        return asked
    setting = load_settings().isolation
    return {} if setting is None else read_isolation(setting.value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="flowq-worker", description="Execute jobs; the server comes from FLOWQ_REDIS_URL or the configuration."
    )
    parser.add_argument("queues", nargs="*", default=[defaults.QUEUE], help="queues, in order of priority")
    parser.add_argument("-c", "--slots", type=_positive, help="jobs executed at once")
    parser.add_argument("--executor", metavar="NAME", help="execute the jobs elsewhere: [executors.NAME] of flowq.toml")
    parser.add_argument("--name", help="the name it is listed under")
    parser.add_argument("--namespace", help="the namespace of all keys")
    parser.add_argument("--burst", action="store_true", help="stop when the queues are empty")
    parser.add_argument("--max-jobs", type=_positive, help="stop after that many jobs")
    parser.add_argument("--max-idle", type=float, help="stop after that many seconds without a job")
    parser.add_argument("--until-run", metavar="RUN", help="stop when this run has ended")
    parser.add_argument(
        "--lifeline", type=int, metavar="FD", help="stop when this inherited descriptor is closed at its other end"
    )
    parser.add_argument("--orders", type=int, metavar="FD", help="wait for the arguments on this inherited descriptor")
    parser.add_argument("--detached", action="store_true", help="with --orders: do not stop when the descriptor is closed")
    parser.add_argument("--preload", action="append", default=[], metavar="MODULE", help="import it before the first fork")
    parser.add_argument("--allow", action="append", default=[], metavar="PATTERN", help="call nothing else")
    parser.add_argument("--path", action="append", default=[], metavar="DIRECTORY", help="plain jobs find modules here too")
    parser.add_argument("--isolation", type=read_isolation, metavar="WORD", help=f"what jobs share a process: {EXPECTED}")
    parser.add_argument("--strategy", default="default", choices=["default", "round_robin", "random"], help="order of queues")
    parser.add_argument("--result-ttl", type=float, metavar="SECONDS", help="how long successes are kept that do not say so")
    parser.add_argument("--no-warm", action="store_true", help="import modules in each job only")
    parser.add_argument(
        "--lease", type=_seconds, default=defaults.LEASE, help="seconds after which a silent worker's jobs are lost"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error", "critical"])
    parser.add_argument("--log-format", default="%(asctime)s %(message)s", help="of each line of the log, or json")
    parser.add_argument("--date-format", default="%H:%M:%S", help="of the times in it")
    parser.set_defaults(url=None)  # only orders have one: arguments are visible to every user of the machine
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.5 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"expected 0.5 to 3600 seconds, got {text}")
    return seconds


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number
