"""Warnings about secrets in scripts: no script is too strange for them, and what they say holds in a real shell."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowq.compiler import Code, compile_text

BASH = shutil.which("bash")

_SHELL = r"""$TOKEN ${TOKEN} ${TOKEN:- " ' \ ` $( ${ $(( )) ) } { ; >> "$FLOWQ_OUTPUT" $FLOWQ_OUTPUT << EOF [[ ]] case in esac =( ${{ x for do
done f() | || env & >&2 # echo curl ! ="""
PIECES = st.sampled_from([*_SHELL.split(), " ", "\n", "\\\n", "EOF\n", "${{ params.p }}"])


def warnings(script: str) -> list[str]:
    flow = {
        "params": {"p": {"default": "x"}},
        "secrets": {"TOKEN": {"env": "T"}},
        "jobs": {"a": {"run": script, "secrets": ["TOKEN"]}},
    }
    return [item.message for item in compile_text(json.dumps(flow)).diagnostics if item.code == Code.SECRET_LEAK]


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_script_can_be_looked_at(script: str) -> None:
    assert isinstance(warnings(script or "true"), list)


def test_a_long_script_is_looked_at_once() -> None:
    assert len(warnings('curl "$TOKEN"\necho "$TOKEN"\n' * 5000)) == 2


LEAKS = [
    ('argv "$TOKEN"', True),
    ("argv '$TOKEN'", False),
    ('argv "\\$TOKEN"', False),
    ("argv \\$TOKEN", False),
    ("argv --password=$TOKEN", True),
    ('argv "a b" "x${TOKEN:-none}y"', True),
    ("argv ${TOKEN:+set} ${#TOKEN}", False),
    ("argv $TOKENS", False),
    ('TOKEN2="$TOKEN" argv x', False),
    ('if argv "$TOKEN"; then :; fi', True),
    ('true && ! argv "$TOKEN"', True),
    ('argv <(printf %s "$TOKEN")', False),
    ('printf %s "$TOKEN" | argv', False),
    ('exec argv "$TOKEN"', True),
    ('X=1 command argv "$TOKEN"', True),
    ('timeout 9 argv "$TOKEN"', True),
    ('(cd . && argv "$TOKEN")', True),
    ('x=$(argv "$TOKEN")', True),
    ('f() { argv "$1"; }; f x "$TOKEN"', False),
    ('argv x; [ -n "$TOKEN" ]', False),
    ('argv <<< "$TOKEN"', False),
    ("argv x # $TOKEN", False),
]


@pytest.mark.skipif(BASH is None, reason="no bash")
@pytest.mark.parametrize(("script", "leaks"), LEAKS)
def test_what_is_said_of_arguments_is_so(tmp_path: Path, script: str, leaks: bool) -> None:
    (tmp_path / "argv").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > seen\ncat > /dev/null\n')
    (tmp_path / "argv").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOKEN": "canary-7d1f", "TOKENS": "x"}
    subprocess.run([str(BASH), "-eu", "-c", script], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, check=False)
    assert ("canary-7d1f" in (tmp_path / "seen").read_text()) == leaks
    assert bool(warnings(script)) == leaks
