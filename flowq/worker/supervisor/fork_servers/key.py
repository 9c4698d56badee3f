"""What decides which fork server a job goes to."""

from typing import NamedTuple


class ForkServerKey(NamedTuple):
    """The key of a fork server: horses of one directory, import path and environment can share imported modules.

    A `shared` one is for jobs with different environments: each sets its own in its horse, so that nothing may be kept imported there
    that could have read another one. `withheld` variables are not inherited from this process. `python`: the interpreter, if it is not
    this one. `bundle`: the run, the hash and the requirements of the files that travelled with the run, which `cwd` is to have.

    A tuple: each job makes one and looks it up.
    """

    cwd: str | None = None
    path: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    withheld: tuple[str, ...] = ()
    python: str = ""
    bundle: tuple[str, ...] = ()
