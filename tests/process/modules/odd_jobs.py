"""Jobs whose functions, values, exceptions or leavings are unusual: each way of execution tells the same end of them."""

import asyncio
import atexit
import contextlib
import functools
import gc
import os
import resource
import signal
import sys
import threading
import time


class Loud:
    def __call__(self, *args):
        return list(args)

    @staticmethod
    def still(value):
        return value

    @classmethod
    def named(cls):
        return cls.__name__


loud = Loud()
half = functools.partial(max, 3)
short = lambda *args: len(args)  # noqa: E731


class Tuple(tuple[int, ...]):
    __slots__ = ()


class Slow:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __reduce__(self):
        return time.sleep, (self.seconds,)


class Raises:
    def __init__(self, name: str, *args: object) -> None:
        self.what = name, args

    def __reduce__(self):
        return raises, (self.what[0], *self.what[1])


class Forks:
    def __reduce__(self):
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return int, (5,)


class HostileText(Exception):
    def __init__(self, how):
        super().__init__(how)
        self.how = how

    def __str__(self):
        if self.how == "huge":
            return "x" * 50_000_000
        if self.how == "surrogate":
            return "a\udcff"
        if self.how == "null":
            return "a\0b\x1b[31m"
        if self.how == "none":
            return {"none": None}["none"]
        raise raised(self.how)

    __repr__ = __str__


class HostileState(Exception):
    def __reduce__(self):
        raise ValueError("not me")


class HostileCode:
    def __str__(self):
        raise ValueError("not this text")


class HostileNotes(ModuleNotFoundError):
    def add_note(self, _note):
        raise ValueError("no notes")


def raised(name):
    return {**vars(sys.modules["builtins"]), **globals()}[name]("raised")


def raises(name, *args):
    raise {**vars(sys.modules["builtins"]), **globals()}[name](*args)


def raises_in_chain():
    try:
        raises("HostileText", "ValueError")
    except HostileText as error:
        raise ExceptionGroup("several", [ValueError("one"), HostileText("SystemExit")]) from error


def raises_itself():
    error = ValueError("ring")
    error.__cause__ = error
    raise error


def raises_deep(depth):
    error: BaseException = ValueError()
    for number in range(depth):
        new = ValueError(number)
        new.__cause__ = error
        error = new
    raise error


def raises_a_class_of(module):
    raise type("Odd", (Exception,), {"__module__": module})("odd")


def exits(code):
    code = {"object": HostileCode(), "list": [1], "huge": 1 << 80, "true": True, "negative": -1}.get(code, code)
    sys.exit(code)


def generates():
    yield 1


async def generates_later():
    yield 1


async def waits():
    await asyncio.sleep(0)
    return "waited"


async def raises_later():
    await asyncio.sleep(0)
    raise KeyError("Ä")


async def leaves_tasks():
    odd = asyncio.get_running_loop().create_task(asyncio.sleep(60))
    return "done" if odd.done() else "left"


class Awaits:
    def __await__(self):
        yield


def awaitable():
    return Awaits()


def returns(what):
    values = {
        "lambda": lambda: 1,
        "lock": threading.Lock(),
        "stream": sys.stdout,
        "class": Loud,
        "module": os,
        "frame": sys._getframe(),
        "slow": Slow(60),
        "forks": Forks(),
        "tuple": Tuple((1, 2)),
        "bytes": b"a" * 10,
        "surrogate": "\udcff",
        "nan": float("nan"),
        "bools": [True, 1, 1.0],
        "exit": Raises("SystemExit", 3),
        "keys": {True: 1},
    }
    if what == "ring":
        value = []
        value.append(value)
        return value
    if what == "deep":
        value = []
        for _ in range(100_000):
            value = [value]
        return value
    return values[what]


class Exits:
    def __reduce__(self):
        raise SystemExit(4)


class SaysNothing(Exception):
    def __str__(self):
        raise KeyboardInterrupt


class Mute:
    def __reduce__(self):
        raise SaysNothing


def returns_one_that(name):
    return globals()[name]()


def forgets(name):
    sys.modules.pop(name, None)
    return name


def replaces_modules():
    sys.modules = dict(sys.modules)
    return "replaced"


def removes_itself():
    del sys.modules[__name__]
    return "gone"


def patches(module, name):
    setattr(sys.modules[module], name, None)
    return "patched"


def stream(kind):
    class Odd:
        def write(self, text):
            return len(text)

        def __getattr__(self, name):
            if kind == "raises":
                raise RuntimeError(name)
            raise AttributeError(name)

    if kind == "exits":
        setattr(Odd, "flush", lambda _self: sys.exit(3))  # noqa: B010 - as it does not know it
    sys.stdout = sys.stderr = Odd()
    return kind


def deletes_streams():
    del sys.stdout, sys.stderr
    return "deleted"


def closes(first, last):
    os.closerange(first, last)
    return "closed"


def leaves_a_session():
    with contextlib.suppress(OSError):
        os.setsid()
    return "alone"


def leaves_handlers():
    atexit.register(print, "at the end")
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    return "deaf"


def leaves_a_thread(daemon):
    threading.Thread(target=time.sleep, args=(60,), daemon=daemon).start()
    return "thread"


def leaves_no_garbage():
    gc.disable()
    gc.freeze()
    return "held"


def limits(name, value):
    number = getattr(resource, name)
    resource.setrlimit(number, (value, resource.getrlimit(number)[1]))
    return name


def recurses():
    return recurses()


def recurses_without_limit():
    sys.setrecursionlimit(50)
    return recurses()


def traces():
    sys.settrace(lambda *_: raises("ValueError", "traced"))
    sys.setprofile(lambda *_: None)
    return "traced"


def decodes(*args):
    return [str(arg) for arg in args]
