"""The page on the protocol between the processes of a worker agrees with the code."""

import re
from importlib import import_module

from flowq.worker import ipc
from flowq.worker.ipc import channel

PAGE = ipc.__doc__ or ""
HOMES = (
    "supervisor.slot",
    "supervisor.departure",
    "supervisor.fork_servers.client",
    "supervisor.fork_servers.lane",
    "fork_server.children",
    "fork_server.preload",
)


def test_the_deadlines_agree_with_the_code() -> None:
    stated = {name: float(value) for name, value in re.findall(r"^ +(_?[A-Z]+_[A-Z]+|_[A-Z]+) +([0-9.]+) ", PAGE, re.MULTILINE)}
    modules = [import_module(f"flowq.worker.{name}") for name in HOMES]
    found = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if name in {"_DEADLINE", "_LOOK"} or re.fullmatch(r"_?[A-Z]+_LIMIT", name)
    }
    assert stated == found


def test_every_message_of_the_control_channel_is_described() -> None:
    kinds = {name for name, value in vars(channel).items() if name.isupper() and isinstance(value, str)}
    assert kinds == set(re.findall(r"^ +\(([A-Z_]+)[,)]", PAGE, re.MULTILINE))
