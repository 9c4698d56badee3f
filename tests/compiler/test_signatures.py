"""Signatures from source: certain facts are reported, everything else is unknown, and user code is never executed."""

import importlib
import inspect
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flowq.compiler import compile_file, compile_text, render
from flowq.compiler.signatures import Lookup, Problem, Signature
from flowq.compiler.signatures.modules import MAX_SOURCE
from flowq.compiler.syntax.source import read_file


class Modules:
    """A folder with modules, and lookups of names in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def find(self, name: str) -> Signature | Problem | None:
        module, _, attribute = name.partition(":")
        return Lookup([str(self.folder)]).find(module, attribute)

    def text(self, name: str) -> str:
        """Return the signature of a name, the message of a problem, or "" if unknown."""
        found = self.find(name)
        return found.text if isinstance(found, Signature) else found.message if found is not None else ""


@pytest.fixture
def modules(tmp_path: Path) -> Modules:
    return Modules(tmp_path)


def test_relative_imports_and_packages(modules: Modules) -> None:
    modules.write("pkg/__init__.py", "from .inner import f as g\nfrom . import inner\nfrom .deep.down import h\n")
    modules.write("pkg/inner.py", "def f(a): ...\n")
    modules.write("pkg/deep/__init__.py", "")
    modules.write("pkg/deep/down.py", "from ..inner import f as h\nfrom ...beyond import x\n")
    assert modules.text("pkg:g") == "f(a)"
    assert modules.text("pkg:inner.f") == "f(a)"
    assert modules.text("pkg:h") == "f(a)"
    assert modules.text("pkg.deep.down:h") == "f(a)"
    assert modules.text("pkg:deep.down.h") == "f(a)"
    assert modules.text("pkg.deep.down:x") == ""
    assert modules.text("pkg.deep:down") == "`pkg.deep.down` is a module, not something that can be called"


def test_a_folder_without_init_is_a_package(modules: Modules) -> None:
    modules.write("space/inner.py", "def f(a): ...\n")
    assert modules.text("space.inner:f") == "f(a)"
    assert modules.text("space:f") == ""  # another portion of the package may be elsewhere


def test_folders_come_before_installed_modules(tmp_path: Path) -> None:
    first, second = Modules(tmp_path / "a"), Modules(tmp_path / "b")
    first.write("one.py", "def f(first): ...\n")
    second.write("one.py", "def f(second): ...\n")
    second.write("two.py", "def f(two): ...\n")
    lookup = Lookup([str(first.folder), str(second.folder)])
    texts = [
        found.text
        for name in ("one", "two", "textwrap")
        if isinstance(found := lookup.find(name, "f" * (name != "textwrap") or "dedent"), Signature)
    ]
    assert texts == ["f(first)", "f(two)", "dedent(text)"]


@pytest.mark.parametrize(
    "source",
    [
        "if x:\n    def f(a): ...\nelse:\n    def f(b): ...",
        "try:\n    from fast import f\nexcept ImportError:\n    def f(a): ...",
        "def f(a): ...\nf = wrap(f)",
        "def f(a): ...\nfor f in x: pass",
        "def f(a): ...\nwith x as f: pass",
        "def f(a): ...\n(f := g)",
        "def f(a): ...\nmatch x:\n    case [*f]: pass",
        "def f(a): ...\ndef g():\n    if 1:\n        global f\n        f = 1",
        "def f(a): ...\ndel f",
        "f, g = 1, 2",
        "from elsewhere import *",
        "globals()['f'] = 1",
        "import sys\nsys.modules[__name__] = 1",
        "def __getattr__(name): ...",
        "exec('def f(): ...')",
        "from itself import f",
        "f = g\ng = f",
        "import itself\nf = itself.f",
        "from unknown import decorate\n@decorate\ndef f(a): ...",
        "@property\ndef f(a): ...",
        "class f(metaclass=M):\n    def __init__(self, a): ...",
        "@dataclass\nclass f:\n    a: int",
        "class f(Unknown): ...",
        "class f(f): ...",
        "class f:\n    def __new__(cls, a): ...",
        "class f:\n    __init__ = make()",
        "def f(a): ...\nfrom unknown import *",
        "class M(type): ...\nclass g(metaclass=M): ...\nclass f(g):\n    def __init__(self, a): ...",
        "class f:\n    pass\nf.other = classmethod(print)",
        "import enum\n@enum.global_enum\nclass E(enum.Enum):\n    f = print",
        "from functools import partial\nf = partial(g, 1)",
    ],
)
def test_uncertain_signatures_are_unknown(modules: Modules, source: str) -> None:
    modules.write("itself.py", source + "\n")
    assert modules.find("itself:f") is None


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("def f(a): ...\ndef f(b): ...", "f(b)"),
        ("from typing import overload\n@overload\ndef f(a): ...\n@overload\ndef f(a, b): ...\ndef f(*args): ...", "f(*args)"),
        ("if x:\n    def f(a): ...", "f(a)"),
        ("with x:\n    def f(a): ...", "f(a)"),
        ("import functools as t\n@t.cache\ndef f(a): ...", "f(a)"),
        ("from flowq import job\n@job('low', timeout=5)\ndef f(a): ...", "f(a)"),
        ("from rq.decorators import job\n@job('low')\ndef f(a): ...", "f(a)"),
        ("class f:\n    def __init__(self, /, a, *, b=1): ...", "f(a, *, b=1)"),
        ("class f(object): ...", "f()"),
        ("class g:\n    def __init__(self, a): ...\nclass f(g): ...", "f(a)"),
        ("async def f(a): ...", "f(a)"),
        ("def f(" + ", ".join(f"a{n}" for n in range(50)) + "): ...", "f(…)"),
    ],
)
def test_certain_signatures_are_found(modules: Modules, source: str, text: str) -> None:
    modules.write("itself.py", source + "\n")
    assert modules.text("itself:f").replace("g(", "f(") == text


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        ("int", "a whole number"),
        ("'int | None'", "a whole number or null"),
        ("t.Optional[t.List[str]]", "a list of strings or null"),
        ("dict[str, list[float]]", "a map of lists of numbers"),
        ("t.Union[int, t.Literal['a', None, True]]", "a whole number or 'a' or null or true"),
        ("t.Annotated[bool, 'why']", "a boolean"),
        ("tuple[int, ...]", "a list of whole numbers"),
        ("Mapping[str, t.Any]", "a map"),
        ("t.Any", "None"),
        ("object", "None"),
        ("date", "None"),
        ("int | Other", "None"),
        ("Shadowed", "None"),
        ("str2", "None"),
        ("'not an annotation ('", "None"),
        ("t.Literal[Colour.RED]", "None"),
    ],
)
def test_annotations(modules: Modules, annotation: str, words: str) -> None:
    head = (
        "import typing as t\nfrom collections.abc import Mapping\nfrom datetime import date\nclass Shadowed: ...\nstr2 = str\n"
    )
    modules.write("itself.py", f"{head}def f(a: {annotation}): ...\n")
    found = modules.find("itself:f")
    assert isinstance(found, Signature)
    assert str(found.parameters[0].fit) == words


def test_a_deep_annotation_is_read_to_a_limit(modules: Modules) -> None:
    modules.write("itself.py", "def f(a: " + "list[" * 60 + "int" + "]" * 60 + "): ...\n")
    found = modules.find("itself:f")
    assert isinstance(found, Signature)
    assert 5 < str(found.parameters[0].fit).count("lists") < 30
    assert "whole" not in str(found.parameters[0].fit)


@pytest.mark.parametrize(
    ("source", "gives"),
    [
        ("def f():\n    for x in 'ab':\n        yield x", "a generator"),
        ("def f():\n    x = yield from g()", "a generator"),
        ("async def f():\n    yield 1", "a generator"),
        ("def f():\n    def g():\n        yield 1\n    h = lambda: (yield)\n    return list(g())", ""),
        ("class f: ...", "an object"),
        ("class f:\n    def __init__(self, a): ...", "an object"),
        ("def f() -> set[str]: ...", "a set"),
        ("from collections.abc import Iterator\ndef f() -> Iterator[int]: ...", "an iterator"),
        ("from pathlib import Path\ndef f() -> Path: ...", "a path"),
        ("def f() -> bytes: ...", "bytes"),
        ("class bytes(str): ...\ndef f() -> bytes: ...", ""),
        ("def f() -> set[str] | None: ...", ""),
        ("from typing import Iterable\ndef f() -> Iterable[int]: ...", ""),
    ],
)
def test_results_that_are_not_json_are_found(modules: Modules, source: str, gives: str) -> None:
    modules.write("gives.py", source)
    found = modules.find("gives:f")
    assert isinstance(found, Signature)
    assert found.gives == gives


def test_a_class_of_the_module_is_not_a_builtin(modules: Modules) -> None:
    modules.write("itself.py", "class int: ...\ndef f(a: int): ...\n")
    found = modules.find("itself:f")
    assert isinstance(found, Signature)
    assert found.parameters[0].fit is None


HOSTILE = {
    "syntax": b"def f(:\n",
    "bytes": b"\xff\xfe\x00def f(): ...",
    "NUL": b"def f(): ...\0",
    "coding": b"# -*- coding: no-such-codec -*-\ndef f(): ...",
    "nested brackets": b"x = " + b"(" * 50_000 + b")" * 50_000,
    "nested signs": b"x = " + b"-" * 50_000 + b"1",
    "nested terms": b"x = " + b"1+" * 50_000 + b"1",
    "nested attributes": b"x = a" + b".b" * 50_000,
    "nested calls": b"x = a" + b"()" * 20_000,
    "nested blocks": b"".join(b" " * n + b"if x:\n" for n in range(99)) + b" " * 99 + b"def f(): ...\n",
    "long chain of elif": b"if x: pass\n" + b"elif x: pass\n" * 5_000,
    "nested functions": b"".join(b" " * n + b"def f():\n" for n in range(99)) + b" " * 99 + b"pass\n",
    "too large": b"x = 1\n" * (MAX_SOURCE // 6 + 1),
    "circle": b"from itself import *\n",
    "base circle": b"class f(g): ...\nclass g(f): ...\n",
    "annotation": b"def f(a: " + b"list[" * 90 + b"int" + b"]" * 90 + b"): ...",
    "union": b"def f(a: " + b" | ".join([b"int"] * 3_000) + b"): ...",
    "escapes": b"x = '\\d'\ndef f(): ...",
}


def test_hostile_sources(tmp_path: Path) -> None:
    """They are parsed in a subprocess, because a stack overflow in the parser would kill the suite."""
    for number, source in enumerate(HOSTILE.values()):
        (tmp_path / f"hostile{number}").mkdir()
        (tmp_path / f"hostile{number}" / "itself.py").write_bytes(source)
    script = (
        "import sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "from flowq.compiler.signatures import Lookup\n"
        "for number in range(int(sys.argv[1])):\n"
        "    Lookup([f'hostile{number}']).find('itself', 'f')\n"
        "    print(number, flush=True)\n"
        "from tests.support.memory import peak\nprint(peak())\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    start = time.process_time()
    done = subprocess.run(
        [sys.executable, "-c", script, str(len(HOSTILE))],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert done.stderr == ""
    assert int(done.stdout.split()[-1]) < 200_000
    assert time.process_time() - start < 30


def test_user_code_is_not_executed(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = modules.folder / "canary"
    evil = f"open({str(canary)!r}, 'w').close()\n"
    modules.write("evil/__init__.py", evil)
    modules.write("evil/inner.py", evil + "def f(a: int = print(1), *, b: f'{x}' = 2) -> int: ...\n")
    modules.write("flow.yaml", "jobs:\n  a: {call: 'evil.inner:f', args: [x]}\n  b: {call: 'evil:g'}\n")
    monkeypatch.chdir(modules.folder)
    before = set(sys.modules)
    text = "\n".join(map(render, compile_file("flow.yaml").diagnostics))
    assert "FQ605" in text
    assert "FQ603" in text
    assert not canary.exists()
    assert not {name for name in set(sys.modules) - before if name.startswith("evil")}


def test_a_fifo_or_a_directory_is_not_a_module(modules: Modules) -> None:
    os.mkfifo(modules.folder / "pipe.py")
    (modules.folder / "folder.py").mkdir()
    assert modules.find("pipe:f") is None or isinstance(modules.find("pipe:f"), Problem)
    assert isinstance(modules.find("folder:f"), Problem)


def test_jobs_of_a_subflow_find_modules_beside_their_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    (parts / "tasks.py").write_text("def f(inner): ...\n")
    (tmp_path / "tasks.py").write_text("def f(outer): ...\n")
    (parts / "part.yaml").write_text("jobs: {a: {call: 'tasks:f', kwargs: {inner: 1}}}\n")
    (tmp_path / "flow.yaml").write_text("jobs: {a: {call: 'tasks:f', kwargs: {outer: 1}}, b: {flow: parts/part.yaml}}\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert compile_file(tmp_path / "flow.yaml").diagnostics == ()
    (elsewhere / "tasks.py").write_text("def f(mine): ...\n")  # the directory of the run comes first
    assert [item.code for item in compile_file(tmp_path / "flow.yaml").diagnostics] == ["FQ604"] * 4


def test_a_flow_is_named_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / "tasks.py").write_text("def f(a): ...\n")
    (folder / "flow.yaml").write_text(
        "jobs: {a: {call: 'tasks:f', args: [1]}, b: {call: 'tasks:f', kwargs: {b: 1}}, c: {call: 'tasks:g'}}\n"
    )
    monkeypatch.chdir(tmp_path)
    found = [(item.code, item.line) for item in compile_file("sub/flow.yaml").diagnostics]
    assert found
    assert found == [(item.code, item.line) for item in compile_file(folder / "flow.yaml").diagnostics]
    assert {code for code, _ in found} == {"FQ603", "FQ604"}


def test_a_flow_without_a_file_is_not_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.py").write_text("def f(a): ...\n")
    assert compile_text("jobs: {a: {call: 'tasks:f'}, b: {call: 'nowhere:f'}}").diagnostics == ()


def test_a_module_is_read_once(modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowq.compiler.signatures import modules as under_test

    read: list[str] = []

    def reading(path: str) -> object:
        read.append(path)
        return read_file(path)

    monkeypatch.setattr(under_test, "read_file", reading)
    modules.write("tasks.py", "def f(a): ...\ndef g(a): ...\n")
    jobs = "\n".join(f"  j{n}: {{call: 'tasks:{'fg'[n % 2]}', args: [{n}]}}" for n in range(500))
    modules.write("flow.yaml", f"jobs:\n{jobs}\n")
    assert compile_file(modules.folder / "flow.yaml").diagnostics == ()
    assert [Path(path).name for path in read] == ["tasks.py"]


def some_function(chance: random.Random, name: str) -> str:
    """Return a function with parameters of any kinds."""
    names = iter("abcdefgh")
    positional = [next(names) for _ in range(chance.randint(0, 2))]
    either = [next(names) for _ in range(chance.randint(0, 2))]
    keyword = [next(names) for _ in range(chance.randint(0, 2))]
    optional = chance.randint(0, len(positional + either))  # the last ones
    written = [
        f"{item}=0" if place >= len(positional + either) - optional else item for place, item in enumerate(positional + either)
    ]
    if positional:
        written.insert(len(positional), "/")
    if chance.random() < 0.3:
        written.append("*rest")
    elif keyword:
        written.append("*")
    written += [f"{item}=0" if chance.random() < 0.5 else item for item in keyword]
    if chance.random() < 0.3:
        written.append("**more")
    return f"def {name}({', '.join(written)}): ...\n"


@pytest.mark.parametrize("seed", range(8))
def test_arguments_are_refused_when_python_would_refuse_them(modules: Modules, seed: int) -> None:
    chance = random.Random(seed)
    functions = {f"f{number}": some_function(chance, f"f{number}") for number in range(80)}
    real: dict[str, Any] = {}
    exec("".join(functions.values()), real)  # noqa: S102 - the text is the one above
    calls = {
        name: (list(range(chance.randint(0, 4))), {item: 0 for item in "abcdefx" if chance.random() < 0.3})
        for name in functions
    }
    jobs = {name: {"call": f"tasks:{name}", "args": args, "kwargs": kwargs} for name, (args, kwargs) in calls.items()}
    modules.write("tasks.py", "".join(functions.values()))
    modules.write("flow.yaml", "jobs:\n" + "".join(f"  {name}: {json.dumps(job)}\n" for name, job in jobs.items()))
    found = compile_file(modules.folder / "flow.yaml").diagnostics
    assert {item.code for item in found} == {"FQ604"}
    refused = {list(jobs)[item.line - 2] for item in found}
    for name, (args, kwargs) in calls.items():
        try:
            real[name](*args, **kwargs)
        except TypeError:
            assert name in refused, (functions[name], args, kwargs)
        else:
            assert name not in refused, (functions[name], args, kwargs)


KINDS = {"positional": 0, "either": 1, "list": 2, "keyword": 3, "map": 4}  # as inspect numbers them
LIBRARY = (
    "collections",
    "csv",
    "enum",
    "json",
    "operator",
    "os",
    "random",
    "shutil",
    "ssl",
    "statistics",
    "subprocess",
    "textwrap",
    "unittest",
    "urllib.parse",
    "click",
    "pytest",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARY)
def test_signatures_of_real_modules_are_true(name: str) -> None:
    """Extension modules, star imports that replace names, dynamic names and metaclasses are unknown; all else agrees with Python."""
    module = importlib.import_module(name)
    lookup = Lookup([])
    for attribute in dir(module):
        value, found = getattr(module, attribute), lookup.find(name, attribute)
        if attribute.startswith("__") or not callable(value):
            continue
        assert not isinstance(found, Problem), (attribute, found)
        if isinstance(found, Signature):
            parameters = inspect.signature(value).parameters.values()
            expected = [
                (item.name, int(item.kind), item.default is item.empty and item.kind not in {2, 4}) for item in parameters
            ]
            assert [(item.name, KINDS[item.kind], item.required) for item in found.parameters] == expected, attribute
