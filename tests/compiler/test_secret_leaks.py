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


def warnings(script: str) -> list[str]:
    flow = {
        "params": {"p": {"default": "x"}},
        "secrets": {"TOKEN": {"env": "T"}},
        "jobs": {"a": {"run": script, "secrets": ["TOKEN"]}},
    }
    return [item.message for item in compile_text(json.dumps(flow)).diagnostics if item.code == Code.SECRET_LEAK]


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_any_script_can_be_checked(script: str) -> None:
    assert isinstance(warnings(script or "true"), list)


def test_a_long_script_is_scanned_once() -> None:
    assert len(warnings('curl "$TOKEN"\necho "$TOKEN"\n' * 5000)) == 2
    assert len(warnings('exec > "$FLOWQ_OUTPUT"\n{ echo "$TOKEN"; } | cat\n' * 5000)) == 1
    assert len(warnings("cat <<EOF\n\\$TOKEN $TOKEN\nEOF\n" * 5000)) == 1


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
def test_warnings_about_arguments_are_true(tmp_path: Path, script: str, leaks: bool) -> None:
    (tmp_path / "argv").write_text('#!/bin/sh\nprintf "%s\\n" "$@" > seen\ncat > /dev/null\n')
    (tmp_path / "argv").chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "TOKEN": "canary-7d1f", "TOKENS": "x"}
    subprocess.run([str(BASH), "-eu", "-c", script], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, check=False)
    assert ("canary-7d1f" in (tmp_path / "seen").read_text()) == leaks
    assert bool(warnings(script)) == leaks


OUT = '"$FLOWQ_OUTPUT"'
RESULT, LOG, NOWHERE = "result", "log", ""
STREAMS = [
    (f'echo "t=$TOKEN" >> {OUT}', RESULT),
    (f'echo "t=$TOKEN" 1>> {OUT}', RESULT),
    (f'echo "t=$TOKEN" 2>> {OUT}', LOG),
    ('echo "$TOKEN" 2> /dev/null', LOG),
    ('echo "$TOKEN" > kept', NOWHERE),
    (f"cat > {OUT} <<EOF\na=1\nt=$TOKEN\nEOF", RESULT),
    (f"cat <<EOF >> {OUT}\n${{TOKEN}}\nEOF\ntrue", RESULT),
    (f"cat <<-EOF >> {OUT}\n\tt=$TOKEN\n\tEOF\ntrue", RESULT),
    (f"cat > {OUT} <<'EOF'\nt=$TOKEN\nEOF", NOWHERE),
    (f"cat > {OUT} <<\\EOF\nt=$TOKEN\nEOF", NOWHERE),
    (f"cat > {OUT} <<EOF\nt=\\$TOKEN\nEOF", NOWHERE),
    (f"cat > {OUT} <<EOF\nt=\\\\$TOKEN\nEOF", RESULT),
    (f"cat > {OUT} <<ONE <<'TWO'\nt=$TOKEN\nONE\nt=$TOKEN\nTWO", NOWHERE),
    (f"cat > {OUT} <<'ONE' <<TWO\nt=$TOKEN\nONE\nt=$TOKEN\nTWO", RESULT),
    ("cat <<EOF\nt=$TOKEN\nEOF", LOG),
    ("cat - <<EOF\nt=$TOKEN\nEOF", LOG),
    ("cat > kept <<EOF\nt=$TOKEN\nEOF", NOWHERE),
    ("cat /dev/null <<EOF\nt=$TOKEN\nEOF", NOWHERE),
    ("cat <<EOF | wc -c\nt=$TOKEN\nEOF", NOWHERE),
    ("wc -c <<EOF\nt=$TOKEN\nEOF", NOWHERE),
    ("x=$(cat <<EOF\nt=$TOKEN\nEOF\n)", NOWHERE),
    (f'cat <<< "$TOKEN" >> {OUT}', RESULT),
    (f"tee {OUT} <<EOF > /dev/null\nt=$TOKEN\nEOF", RESULT),
    (f'echo "t=$TOKEN" | tee -a {OUT} > /dev/null', RESULT),
    (f'echo "t=$TOKEN" | cat >> {OUT}', RESULT),
    ('echo "t=$TOKEN" | tee kept', LOG),
    ('echo "t=$TOKEN" | wc -c', NOWHERE),
    (f"{{ echo $TOKEN; }} > {OUT}", RESULT),
    ("{ echo $TOKEN; } > kept", NOWHERE),
    ("{ echo $TOKEN; }", LOG),
    (f"{{ echo $TOKEN > kept; }} > {OUT}", NOWHERE),
    (f"{{ echo $TOKEN | wc -c; }} > {OUT}", NOWHERE),
    (f'{{\n  echo a=1\n  echo "t=$TOKEN"\n}} >> {OUT}', RESULT),
    (f'( echo "t=$TOKEN" ) >> {OUT}', RESULT),
    (f"(cat <<EOF\nt=$TOKEN\nEOF\n) >> {OUT}", RESULT),
    ('(echo "$TOKEN")', LOG),
    ('(echo "$TOKEN") > kept', NOWHERE),
    (f'( {{ echo "$TOKEN"; }} > kept ) > {OUT}', NOWHERE),
    (f'( {{ echo "$TOKEN"; }} ) > {OUT}', RESULT),
    (f'if true; then echo "$TOKEN"; fi > {OUT}', RESULT),
    ('if true; then echo "$TOKEN"; fi > kept', NOWHERE),
    ('if true; then echo "$TOKEN"; fi', LOG),
    (f'if [ -n "$TOKEN" ]; then echo yes; fi > {OUT}', NOWHERE),
    (f'if false; then :; else {{ echo "$TOKEN"; }}; fi > {OUT}', RESULT),
    (f'while ! test -e kept; do echo "$TOKEN"; : > kept; done >> {OUT}', RESULT),
    ('until test -e kept; do echo "$TOKEN"; : > kept; done > there', NOWHERE),
    (f'for i in 1 2; do printf "%s\\n" "$TOKEN"; done > {OUT}', RESULT),
    (f'for i in 1; do\n  case $i in\n    1) echo "$TOKEN" ;;\n  esac\ndone > {OUT}', RESULT),
    (f'case 1 in 1) echo "$TOKEN";; esac > {OUT}', RESULT),
    (f'for ((i = 0; i < 1; i++)); do echo "$TOKEN"; done > {OUT}', RESULT),
    (f"while read -r line; do :; done > {OUT} <<EOF\nt=$TOKEN\nEOF", NOWHERE),
    (f"{{ cat; }} > {OUT} <<EOF\nt=$TOKEN\nEOF", RESULT),
    (f'{{ echo "$TOKEN"; }} | tee {OUT} > /dev/null', RESULT),
    (f'{{ echo "$TOKEN"; }} | cat > {OUT}', RESULT),
    (f'echo "$TOKEN" | {{ cat; }} > {OUT}', RESULT),
    (f'echo "$TOKEN" | (cat) > {OUT}', RESULT),
    (f'{{ x=$(echo "$TOKEN"); echo done; }} > {OUT}', NOWHERE),
    (f'x=$({{ echo "$TOKEN"; }} > {OUT})', RESULT),
    (f'exec > {OUT}\necho "t=$TOKEN"', RESULT),
    (f'exec > kept\necho "t=$TOKEN"\nexec > {OUT}\necho x=1', NOWHERE),
    (f'echo a=1 > {OUT}; echo "$TOKEN" > kept', NOWHERE),
    ('f() { echo "$TOKEN"; }; f > kept', NOWHERE),
    ('f() ( echo "$TOKEN" ); f > kept', NOWHERE),
    ('f()\n{\n  if true; then echo "$TOKEN"; fi\n}\nf > kept', NOWHERE),
    (f'f() {{ echo "$TOKEN" > {OUT}; }}; f', RESULT),
    (f'f() {{ echo "$1"; }}; f "$TOKEN" > {OUT}', RESULT),
    (f"true && {{ echo $TOKEN; }} > {OUT} && true", RESULT),
    ("if true; then {\n  echo a; } fi; echo $TOKEN > kept", NOWHERE),
]


@pytest.mark.skipif(BASH is None, reason="no bash")
@pytest.mark.parametrize(("script", "where"), STREAMS)
def test_warnings_about_results_and_logs_are_true(tmp_path: Path, script: str, where: str) -> None:
    result = tmp_path / "result"
    env = {"PATH": "/usr/bin:/bin", "TOKEN": "canary-7d1f", "FLOWQ_OUTPUT": str(result)}
    done = subprocess.run(
        [str(BASH), "-eu", "-c", script], cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    found = {LOG: "canary-7d1f" in (done.stdout + done.stderr).decode()}
    found[RESULT] = result.exists() and "canary-7d1f" in result.read_text()
    assert [place for place, there in found.items() if there] == ([where] if where else [])
    said = warnings(script)
    assert [RESULT if "job's result" in text else LOG for text in said] == ([where] if where else []), said
