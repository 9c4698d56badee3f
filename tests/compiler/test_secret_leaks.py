"""Warnings about secrets in scripts: they accept any script, and they agree with a real shell."""

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


def warnings(script: str, shell: str | list[str] = "bash") -> list[str]:
    flow = {
        "params": {"p": {"default": "x"}},
        "secrets": {"TOKEN": {"env": "T"}},
        "jobs": {"a": {"run": script, "shell": shell, "secrets": ["TOKEN"]}},
    }
    return [item.message for item in compile_text(json.dumps(flow)).diagnostics if item.code == Code.SECRET_LEAK]


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_script_can_be_checked(script: str) -> None:
    assert isinstance(warnings(script or "true"), list)


def test_a_long_script_is_scanned_once() -> None:
    assert len(warnings(f'echo "$TOKEN" >> {OUT}\n' * 5000)) == 1
    assert len(warnings('set -x\ncurl "$TOKEN"\n' * 5000)) == 1
    assert len(warnings(f'set -x\necho "$TOKEN" >> {OUT}\necho "$TOKEN"\n' * 5000)) == 2
    assert warnings("\\" * 50_000 + "$TOKEN" + "'" * 50_000) == []


OUT = '"$FLOWQ_OUTPUT"'
RESULT, LOG, NOWHERE = "result", "log", ""
LINES = [
    (f'echo "t=$TOKEN" >> {OUT}', RESULT),
    (f'echo "t=${{TOKEN}}" 1>> {OUT}', RESULT),
    ('echo "t=${TOKEN:-none}" >> "${FLOWQ_OUTPUT}"', RESULT),
    (f'printf "t=%s\\n" \\\n  "$TOKEN" \\\n  >> {OUT}', RESULT),
    (f'cat <<< "t=$TOKEN" >> {OUT}', RESULT),
    (f'echo "t=$TOKEN" | tee -a {OUT} > /dev/null', RESULT),
    (f'{{ echo "t=$TOKEN"; }} > {OUT}', RESULT),
    (f'( echo "t=$TOKEN" ) >> {OUT}', RESULT),
    (f'for i in 1 2; do echo "t=$TOKEN"; done > {OUT}', RESULT),
    (f'f() {{ echo "t=$TOKEN" > {OUT}; }}; f', RESULT),
    (f"echo 'it' \"isn't $TOKEN, isn't it\" >> {OUT}", RESULT),
    ('set -x; true "$TOKEN"', LOG),
    ('set -eux\ntrue "$TOKEN"', LOG),
    ('set -o xtrace\ntrue "$TOKEN"', LOG),
    ('set -x\nset +x\ntrue "$TOKEN"', NOWHERE),
    ('set -x; set +x\nset -x\ntrue "$TOKEN"', LOG),
    ('set -e\ntrue "$TOKEN"', NOWHERE),
    ('# set -x\ntrue "$TOKEN"', NOWHERE),
    (f"echo '$TOKEN' >> {OUT}", NOWHERE),
    (f'echo "t=\\$TOKEN" >> {OUT}', NOWHERE),
    (f'echo "t=${{TOKEN:+set}} ${{#TOKEN}}" >> {OUT}', NOWHERE),
    (f'echo "t=$TOKENS" >> {OUT}', NOWHERE),
    (f'echo "t=1" >> {OUT} # $TOKEN', NOWHERE),
    (f'echo "t=1" >> {OUT}\ntrue "$TOKEN"', NOWHERE),
    ('true "$TOKEN" > kept', NOWHERE),
]


@pytest.mark.skipif(BASH is None, reason="no bash")
@pytest.mark.parametrize(("script", "where"), LINES)
def test_warnings_about_lines_are_true(tmp_path: Path, script: str, where: str) -> None:
    result = tmp_path / "result"
    env = {"PATH": "/usr/bin:/bin", "TOKEN": "canary-7d1f", "TOKENS": "x", "FLOWQ_OUTPUT": str(result)}
    done = subprocess.run(
        [str(BASH), "-eu", "-c", script], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    found = {LOG: "canary-7d1f" in (done.stdout + done.stderr).decode()}
    found[RESULT] = result.exists() and "canary-7d1f" in result.read_text()
    assert [place for place, there in found.items() if there] == ([where] if where else [])
    said = warnings(script)
    assert [RESULT if "job's result" in text else LOG for text in said] == ([where] if where else []), said


def test_a_shell_that_traces() -> None:
    for shell in ("bash -ex", ["bash", "-o", "xtrace"]):
        assert len(warnings('true "$TOKEN"', shell)) == 1
    assert warnings('true "$TOKEN"', "bash -e") == []


@pytest.mark.parametrize(
    "script",
    [
        'curl "$TOKEN"',
        'echo "$TOKEN"',
        "env",
        f"cat > {OUT} <<EOF\nt=$TOKEN\nEOF",
        f'{{\n  echo "t=$TOKEN"\n}} >> {OUT}',
        f'exec > {OUT}\necho "t=$TOKEN"',
    ],
)
def test_the_rule_looks_at_lines_only(script: str) -> None:
    """Masks stand behind it, in logs and in results."""
    assert warnings(script) == []
