"""Values cannot change the meaning of a script: hostile values pass through every allowed place of real shells unchanged."""

import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowq.compiler import Diagnostic, compile_text
from flowq.compiler.compile import Compilation
from flowq.compiler.expressions.sites import Context, SiteReader
from flowq.compiler.shell.interpolation import _PLAIN, rewrite
from flowq.compiler.shell.scanner import Scanner
from flowq.compiler.syntax.nodes import MapNode, ScalarNode
from flowq.compiler.syntax.parser import read
from flowq.compiler.syntax.source import decode_source
from flowq.expr import render, to_text
from flowq.plan import Action

X = "${{ params.x }}"
FOUND = {os.path.realpath(path): name for name in ("sh", "dash", "bash") if (path := shutil.which(name))}
SHELLS = list(FOUND.values())[::-1]  # bash first; where sh is one of the others it is not tried twice

ARRIVES = {  # scripts that print the value
    "bare": f"printf %s {X}",
    "double": f'printf %s "{X}"',
    "joined": f'printf %s ""{X}""',
    "single": f"printf %s '{X}'",
    "single, joined": f"printf %s%s%s '' \"\"'{X}'\"\" ''",
    "single, assigned": f"y='{X}'; printf %s \"$y\"",
    "single, with text around": f"y='it {X} is'; y=${{y#it }}; printf %s \"${{y% is}}\"",
    "single, in a substitution": f"y=$(printf %s '{X}'; printf .); printf %s \"${{y%.}}\"",
    "single, argument": f"sh -c 'printf %s \"$1\"' _ '{X}'",
    "single, case": f"case '{X}' in '{X}') printf %s '{X}';; *) echo no;; esac",
    "assigned": f'y={X}; printf %s "$y"',
    "exported": f'export y={X}; printf %s "$y"',
    "substitution": f'printf %s "$(printf %s {X}; printf .)" | {{ y=$(cat; printf .); printf %s "${{y%..}}"; }}',
    "function": f'f() {{ printf %s "$1"; }}; f {X}',
    "loop": f'for y in {X}; do printf %s "$y"; done',
    "case": f"case {X} in {X}) printf %s {X};; *) echo no;; esac",
    "test": f"if [ {X} = {X} ]; then printf %s {X}; fi",
    "set": f'set -- {X} other; printf %s "$1"',
    "argument": f"sh -c 'printf %s \"$1\"' _ {X}",
    "argument of a named script": f"sh -euc 'printf %s \"$1\"' sh {X}",
    "program behind options": f"printf '%s' 'printf %s \"$1\"' > show; bash -o pipefail show {X}",
    "program before -c": f"sh -c 'printf %s \"$2\"' _ -c {X}",
    "-c of a script": f"printf '%s' 'printf %s \"$2\"' > show2; sh show2 -c {X}",
    "timeout": f"timeout 5 printf %s {X}",
    "timeout with options": f"timeout -k 1 --signal TERM 5 printf %s {X}",
    "nice": f"nice -n 5 printf %s {X}",
    "env with a variable": f"env -u A B=c printf %s {X}",
    "xargs": f"echo %s | xargs -I{{}} printf {{}} {X}",
    "stdbuf": f"stdbuf -o0 printf %s {X}",
    "find -exec": f"find . -maxdepth 0 -exec printf %s {X} \\;",
    "find -exec sh": f"find . -maxdepth 0 -exec sh -c 'printf %s \"$1\"' _ {X} \\;",
    "input of a program": f"printf %s {X} | cat",
    "input of python -c": f"printf %s {X} | python3 -c 'import sys; sys.stdout.write(sys.stdin.buffer.read().decode(\"utf-8\"))'",
    "input of a script": f"printf %s cat > show3; printf %s {X} | sh show3",
    "input of sh -c": f"printf %s {X} | {{ sh -c cat; }}",
    "case of a shell": f"case {X} in sh | bash) printf %s {X};; *) printf %s {X};; esac",
    "awk": f'y={X} awk \'BEGIN {{ printf "%s", ENVIRON["y"] }}\'',
    "python -c": f"python3 -c 'import sys; sys.stdout.write(sys.argv[1])' {X}",
    "file": f'printf %s {X} > "$OUT"; cat "$OUT"',
    "here-document": f'y=$(cat <<EOF\n{X}.\nEOF\n); printf %s "${{y%.}}"',
    "indented here-document": f'y=$(cat <<-EOF\n\t{X}.\n\tEOF\n); printf %s "${{y%.}}"',
    "comment": f"# {X} it's\nprintf %s {X}",
    "document before": f"cat > /dev/null <<'E'\nit's \" $(\nE\nprintf %s {X}",
    "group": f"{{ true && ( printf %s {X} ) ; }} || false",
}

HOSTILE = [
    "plain", "", " ", "two words", "-n", "-rf", "--", "*", "~", "$HOME", "$(touch CANARY)", "`touch CANARY`", '"; touch CANARY; "', "'; touch CANARY; '",
    "a[$(touch CANARY)]", "x=1", "\n", "a\nb\n", "\t", "\\", "\\\\", '\\"', "${IFS}", "%s%n", "!!", "|| touch CANARY", "& touch CANARY &", "é ☃ 𝄞", "#", ">CANARY", "$((1+1))",
    "EOF", "]]", "-o", "(", "!", "FLOWQ_V1", "\x01\x7f\x1b[31m", "a'b\"c`d$e\\f",
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _python_without_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let `python3` be this interpreter, without its site: what a version manager puts in its place takes ten times as long to start.

    Scripts start it for hundreds of values, and it only reads what it is given.
    """
    program = tmp_path_factory.mktemp("bin") / "python3"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(program.parent), prepend=os.pathsep)
        yield


def compiled(script: str, value: str) -> tuple[str, dict[str, str]]:
    action = compiled_with(script, value)
    return action.script, {name: to_text(render(item, {"params": {"x": value}})) for name, item in action.variables.items()}


def compiled_with(script: str, value: str) -> Action:
    text = "params: {x: {type: string}}\njobs:\n  a:\n    run: " + json.dumps(script)
    result = compile_text(text, params={"x": value})
    assert result.plan is not None, result.diagnostics
    return result.plan.nodes[0].action


def compiled_once(script: str) -> tuple[str, Callable[[str], dict[str, str]]]:
    """Return the script that is executed, which is the same for all values, and a function that returns the variables with a value."""
    action, other = compiled_with(script, "a"), compiled_with(script, "$(touch CANARY)")
    assert (action.script, action.variables) == (other.script, other.variables)
    return action.script, lambda value: {
        name: to_text(render(item, {"params": {"x": value}})) for name, item in action.variables.items()
    }


def output(shell: str, script: str, variables: dict[str, str], directory: Path) -> str:
    environment = {**os.environ, **variables, "OUT": str(directory / "out")}
    file = directory / "script"
    file.write_text(script, encoding="utf-8")
    done = subprocess.run(
        [shell, "-eu", str(file)], cwd=directory, env=environment, capture_output=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("place", ARRIVES)
def test_hostile_values_arrive(place: str, shell: str, tmp_path: Path) -> None:
    """Each script is a file that the shell executes; all values are tried by the next test, in which one shell has many."""
    script, variables = compiled_once(ARRIVES[place])
    for value in HOSTILE[::6]:
        assert output(shell, script, variables(value), tmp_path) == value, (place, value)
        assert not (tmp_path / "CANARY").exists(), (place, value)


FRAGMENTS = [
    *HOSTILE, "touch CANARY", "\n touch CANARY \n", "$(touch CANARY)", "`touch CANARY`", "\r\n", "\v", "${x:=$(touch CANARY)}", "$x", "$1", "$@", "$?", "$$", "${#}", "<(touch CANARY)",
    "<<EOF\n", "\nEOF\n", "{a,b}", "[a-z]*", "?", "~root", "^", "|&", "&&", ";;", "in", "esac", "done", "}", "{", ")", "'", '"', "\\\n", "--help", "-c", "-e", "-x", "-o",
    "%d", "%b\\n", "\\x41", "\u202e", "\u2028", "\ufeff", "A" * 3000,
]  # fmt: skip
DEAR = {"input of python -c": 3, "python -c": 3}  # fewer values for slow places


def hostile_values(count: int, seed: str) -> list[str]:
    """Return strings of hostile pieces, the same for the same seed."""
    chance = random.Random(seed)
    return ["".join(chance.choices(FRAGMENTS, k=chance.randint(1, 6))) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS[:2])
@pytest.mark.parametrize("place", ARRIVES)
@pytest.mark.parametrize("count", [15, pytest.param(100, marks=pytest.mark.chaos)])
def test_thousands_of_hostile_values_arrive(place: str, shell: str, count: int, tmp_path: Path) -> None:
    """All places and shells together make thousands. One shell runs the script for each value in a subprocess."""
    values = HOSTILE if shell == "bash" else HOSTILE[::4]
    values = values + hostile_values(DEAR.get(place, count if shell == "bash" else count // 3), place)
    script, variables = compiled(ARRIVES[place], values[0])
    (tmp_path / "script").write_text(script, encoding="utf-8")
    lines = ["export OUT=out"]
    for number, value in enumerate(values):
        given = "; ".join(f"export {name}={shlex.quote(value)}" for name in variables)
        lines.append(f"( {given}; set -eu; . ./script ) > got{number} 2>> errors || echo {number} >> failed")
    (tmp_path / "driver").write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run([shell, "driver"], cwd=tmp_path, check=True, timeout=100)
    assert not (tmp_path / "failed").exists(), (tmp_path / "errors").read_text(encoding="utf-8", errors="replace")
    for number, value in enumerate(values):
        assert (tmp_path / f"got{number}").read_bytes() == value.encode(), (place, value)
    left = {path.name for path in tmp_path.iterdir() if not path.name.startswith("got")}
    assert left <= {"script", "driver", "errors", "out", "show", "show2", "show3"}, "a value did something"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40),
    st.sampled_from(sorted(ARRIVES)),
)
def test_any_value_arrives(tmp_path: Path, value: str, place: str) -> None:
    script, variables = compiled(ARRIVES[place], value)
    assert output(SHELLS[0], script, variables, tmp_path) == value


@pytest.mark.parametrize("place", ARRIVES)
def test_the_script_is_the_same_for_every_value(place: str) -> None:
    assert compiled(ARRIVES[place], "a")[0] == compiled(ARRIVES[place], "$(touch CANARY)")[0]


REFUSED = {
    "sh -c in single quotes": f"sh -c 'echo {X}'",
    "eval in single quotes": f"eval 'echo {X}'",
    "trap in single quotes": f"trap 'echo {X}' EXIT",
    "single quotes in a parameter": f"echo ${{A:-'{X}'}}",
    "single quotes in arithmetic": f"echo $(( '{X}' ))",
    "single quotes that stay open": f"echo 'a {X}",
    "ansi quotes": f"echo $'{X}'",
    "translated": f'echo $"{X}"',
    "backticks": f"echo `echo {X}`",
    "backticks in quotes": f'echo "`echo {X}`"',
    "arithmetic": f"echo $(( {X} + 1 ))",
    "arithmetic command": f"(( {X} > 1 ))",
    "arithmetic for": f"for ((i={X}; i<3; i++)); do :; done",
    "old arithmetic": f"echo $[ {X} ]",
    "parameter": f"echo ${{A:-{X}}}",
    "parameter in quotes": f'echo "${{A:-{X}}}"',
    "escaped": f"echo \\{X}",
    "dollar": f"echo ${X}",
    "dollar in quotes": f'echo "${X}"',
    "quoted here-document": f"cat <<'EOF'\n{X}\nEOF",
    "end of a here-document": f"cat <<{X}\na\n{X}",
    "eval": f"eval echo {X}",
    "eval in quotes": f'eval "echo {X}"',
    "hidden eval": f"command eval {X}",
    "eval behind assignment": f"A=1 eval {X}",
    "sh -c": f'sh -c "echo {X}"',
    "bash -euc": f'bash -euc "echo {X}"',
    "sudo sh -c": f'sudo -u x sh -c "echo {X}"',
    "sh with redirection": f'2>&1 sh 2>&1 -c "echo {X}"',
    "find sh -c": f'find . -exec sh -c "echo {X}" \\;',
    "sh in a pipe": f'true | bash -c "echo {X}"',
    "sh in a substitution": f'echo "$(bash -c "echo {X}")"',
    "sh in an if": f'if sh -c "{X}"; then :; fi',
    "option of a shell": f"bash {X} {X}",
    "trap": f'trap "echo {X}" EXIT',
    "alias": f"alias x={X}",
    "let": f"let x={X}",
    "source": f". {X}",
    "command": f"{X} a",
    "quoted command": f'"{X}" a',
    "command after and": f"true && {X}",
    "command in substitution": f"echo $({X})",
    "exec": f"exec {X}",
    "subscript": f"x[{X}]=1",
    "quoted subscript": f'x["{X}"]=1',
    "array key": f"a=([{X}]=1)",
    "number variable": f"declare -i x={X}",
    "number variable later": f"declare -i n; n={X}",
    "export name": f"export {X}",
    "unset": f"unset {X}",
    "read": f"read {X}",
    "printf format": f"printf {X} a",
    "printf variable": f'printf -v "{X}" a',
    "number test": f"[[ {X} -eq 1 ]]",
    "variable test": f"[[ -v {X} ]]",
    "two in a test": f"[ {X} {X} ]",
    "and in a test": f"[ {X} = a -a {X} = b ]",
    "set": f"set {X}",
    "loader": f"LD_PRELOAD={X} ls",
    "loader export": f"export BASH_ENV={X}",
    "trace prompt": f"PS4={X}; set -x",
    "glob class": f"ls a[{X}]",
    "unclosed": f'echo "a {X}',
    "eval after [[ ]]": f"[[ -n a ]]\neval {X}",
    "eval after [[ ]] and": f"[[ -n a ]]&& eval {X}",
    "eval after an array": f"a=(1 2)\neval {X}",
    "eval in an array": f"a=($(eval {X}))",
    "eval after case": f"case a in a) eval {X};; esac",
    "eval after esac": f"case a in a) :;; esac; eval {X}",
    "eval in a function": f"f() {{ eval {X}; }}",
    "eval after a comment": f"# it's\neval {X}",
    "eval after a here-document": f"cat <<E\n'\nE\neval {X}",
    "eval over a line": f"eval \\\n{X}",
    "quoted eval": f"'eval' {X}",
    "split eval": f"e''val {X}",
    "escaped eval": f"\\eval {X}",
    "unsure of inner quotes": f'echo "${{A:-"x"}}" {X}',
    "carriage return before #": f"echo a\r# it's {X}",
    "eval behind an expansion": f"$SUDO eval {X}",
    "command behind an expansion": f"$SUDO {X}",
    "command behind a substitution": f"$(true) {X}",
    "command behind arguments": f'"$@" {X}',
    "command behind an array": f'"${{a[@]}}" {X}',
    "sh -c behind an expansion": f"sh -c $nothing {X}",
    "two in a test with nothing between": f"[ {X} $nothing {X} ]",
    "sh -c with an option behind": f"sh -c -v {X}",
    "unsure": f'echo "${{A:-it\'s}}" {X}',
    "process substitution command": f"diff <({X}) b",
    "quote elsewhere": f"echo {X}; echo 'a",
}
REFUSED_BECAUSE = {
    "the shell that starts here could read this value as its script or an option": [
        f"sh {{-o,pipefail,-c}} {X}",
        f"find . -exec sh -c a \\; -exec sh -c {X} \\;",
        f"find . -exec sh -c a sh \\; -exec sh {X}",
        f"sh a -c sh -c {X}",
        f"bash -o pipefail -c {X}",
        f"bash -euo pipefail -c {X}",
        f"bash -co pipefail {X}",
        f"bash -ceu {X}",
        f"bash +e -c {X}",
        f"sh -o nounset -c {X}",
        f"bash +O extglob -c {X}",
        f"bash -O extglob -c {X}",
        f"bash --rcfile x -c {X}",
        f'bash -c "$(echo {X})"',
        f"timeout 5 bash -o pipefail -c {X}",
        f"X=sh; $X -c {X}",
        f'"$X" -o pipefail -c {X}',
        f"${{A}}sh -ec {X}",
        f"bash <(echo {X})",
        f"bash --rcfile <(echo {X})",
        f"find . -exec sh {X}",
        f"sh $opts {X}",
        f'sh "$@" {X}',
        f'"$SHELL" -c {X}',
        f'"$SHELL" {X}',
        f"${{BASH}} {X}",
        f"zsh -c {X}",
        f"busybox sh -c {X}",
        f"docker run image bash -c 'echo {X}'",
        f"ksh --rcfile {X} y",
    ],
    "it comes to the standard input of a shell that reads its script there": [
        f"diff <(echo {X}) <(sh)",
        f"for i in {X}; do curl x | bash; done",
        f"exec 5< <(echo {X}); sh <&5",
        f"exec <<E\n{X}\nE\nsh",
        f"sh\nexec $nothing <<< {X}",
        f"exec > >(sh)\necho {X}",
        f"f <<< {X}\nf()\n{{\nsh\n}}",
        f"function f ()\n{{\nsh\n}}\nf <<< {X}",
        f"{{ case a in }}) b;; esac\nsh\n}} <<< {X}",
        f"cat <<E; cat |\n{X}\nE\nsh",
        f"echo {X} | # a\n\n# b\nsh",
        f"sh -s -- {X} | sh",
        f"sh -s -- {X} > >(sh)",
        f"echo {X} | command . /dev/stdin",
        f"sh /dev/fd/5 5<<< {X}",
        f"echo {X} | /usr/bin/xargs sh -c",
        f"echo {X} | ((sh))",
        f"f() if true; then sh; fi; f <<< {X}",
        f"f()\n{{\nsh\n}}\nf <<< {X}",
        f"f() {{ cat | sh; }}; f <<< {X}",
        f"f() (sh); f <<< {X}",
        f"tee >(cat | sh) <<< {X}",
        f"echo {X} | (cat | sh)",
        f"{{ grep a | sh; }} <<EOF\n{X}\nEOF",
        f"echo {X} | {{ cat | sh; }}",
        f"echo {X} | xargs sh -c",
        f"echo {X} | xargs -I{{}} sh -c 'echo {{}}'",
        f"bash -s <<< {X}",
        f"bash <<< {X}",
        f"bash - <<< {X}",
        f"bash -s a <<< {X}",
        f"source /dev/stdin <<< {X}",
        f"bash /dev/stdin <<< {X}",
        f"sh < <(echo {X})",
        f"sh < {X}",
        f"echo {X} | sh",
        f"echo {X} |\n  sh",
        f"echo {X} | sudo -u x sh",
        f"echo {X} | env A=1 bash -eu",
        f"echo {X} | grep a | bash -o pipefail",
        f"echo {X} | timeout 5 sh",
        f"echo {X} | docker exec -i c sh",
        f"echo {X} | (cd /; sh)",
        f"echo {X} | if true; then sh; fi",
        f"echo {X} | while true; do sh; done",
        f'echo {X} | {{ y="$(sh)"; }}',
        f"{{ echo a; echo {X}; }} | sh",
        f"for y in {X}; do echo $y; done | sh",
        f"(echo {X}) | sh",
        f"{{ sh; }} <<< {X}",
        f"(sh) <<< {X}",
        f"exec <<< {X}; sh",
        f"echo {X} | tee >(sh)",
        f"echo {X} > >(bash -s)",
        f"echo {X} | $SH",
        f"echo {X} | xargs -n1 sh",
        f"sh <<EOF\necho {X}\nEOF",
        f"bash -s <<EOF\n{X}\nEOF",
        f"cat <<EOF | sh\n{X}\nEOF",
        f"cat <<EOF |\n{X}\nEOF\nsh",
        f"ssh host bash <<EOF\n{X}\nEOF",
        f"(sh) <<EOF\n{X}\nEOF",
        f"{{ sh; }} <<EOF\n{X}\nEOF",
        f"sudo -u x sh <<-EOF\n\t{X}\n\tEOF",
        f"exec <<EOF\n{X}\nEOF\nsh",
        f". /dev/stdin <<EOF\n{X}\nEOF",
        f"f() {{ sh; }}; echo {X} | f",
        f"f() {{ bash -s; }}\necho {X} > >(f)",
        f"function f {{ sh; }}; f <<< {X}",
        f"exec > >(sh); echo {X}",
        f"exec 3> >(sh); echo {X} >&3",
        f"echo {X} | {{ y=`sh`; }}",
        f"echo {X} | xargs -I@ bash -c 'echo @'",
        f"echo {X} | while read -r y; do sh; done",
        f"echo {X} |\n\n# then\nbash",
        f"! echo {X} | sh",
        f"time echo {X} | sh",
        f"echo {X} | command sh",
        f"echo {X} | exec sh",
    ],
    "the value would choose which command the shell runs": [
        f"$'\\x65val' {X}",
        f'{{eval,"a b"}} {X}',
        f"ev{{a,}}l a {X}",
        f"{{{X},./a}} b",
        f"exec -a a {X}",
        f"$(echo {X}) a",
        f"echo a; e$(echo {X}) b",
        f"$(echo {X})/run a",
        f"exec {X}",
        f"exec -a y {X}",
        f"command $a {X}",
        f"{{fd}}>log {X}",
    ],
    "how shells read this place is not certain: some shells end a here-document in a substitution here": [
        f"$(cat <<E\nE) eval {X}\nE\n)",
    ],
    "how shells read this place is not certain: the end of a here-document is not a plain word": [
        f'cat <<E"F G"\n{X}\nEF G',
        f"cat <<{X}\na\n{X}",
    ],
    'how shells read this place is not certain: $"…" is translated by some shells': [
        f'echo {X} | $"sh"',
        f'$"eval" {X}',
    ],
    "how shells read this place is not certain: an operator inside an array": [
        f"a=(e<<E\n{X}=1 = | cat <<E\na\nE\n",
        f"a=(b; {X})",
        f"a=(b < {X})",
    ],
    "how shells read this place is not certain: an operator inside [[ ]]": [
        f"[[ a =~ (<<E) ]]; eval {X}\nE",
        f"[[ -n <(a) ]]; echo {X}",
    ],
    "how shells read this place is not certain: a comment or a pattern": [
        f"[[ a =~ #b' ]]\necho {X}'",
    ],
    "how shells read this place is not certain: (( is arithmetic or two subshells": [
        f'echo "$( ((case a in a) b;; esac)) "{X}")"',
        f"echo {X} $((echo a) | cat)",
    ],
    "how shells read this place is not certain: ${ } has commands in it for some shells": [
        f"echo ${{ eval {X}; }}",
        f"echo ${{| eval {X}; }}",
    ],
    "`env -S` reads its words again": [
        f"env -S {X}",
        f"env -iS {X}",
        f"env --split-string={X}",
        f"env -S 'sh -c' {X}",
    ],
    "`.` reads its words again": [
        f". <(echo {X})",
    ],
    "`source` reads its words again": [
        f"source <(echo {X})",
        f"source <(cat <<< {X})",
    ],
    "`eval` reads its words again": [
        f"${{nothing}}eval {X}",
        f"$(echo)eval {X}",
        f"A[1]=2 eval {X}",
        f'eval "$(echo {X})"',
        f"time -p eval {X}",
        f"! eval {X}",
        f"command -p eval {X}",
        f"case a in a) eval {X};; esac",
        f"case a\nin a) eval {X};; esac",
        f"for y do eval {X}; done",
        f"function f {{ eval {X}; }}",
        f"f() {{ eval {X}; }}",
    ],
    "[[ ]] evaluates numbers and names, and evaluation can run commands": [
        f"[[ $(echo {X}) -eq 1 ]]",
    ],
    "a subscript is evaluated, and evaluation can run commands": [
        f"a[b[0]+{X}]=1",
        f'a["]"{X}]=1',
        f"a['[]'{X}]=1",
        f"a=([b[0]+{X}]=1)",
        f"a[1]=2 b[{X}]=1",
        f"a[$(echo {X})]=1",
        f"a=([{X}]=1)",
        f"a=([$(echo {X})]=1)",
    ],
    "the script declares number variables, and an assignment to one is evaluated": [
        f"declare -i n; for n in {X}; do :; done",
        f"declare -i n; n=$(echo {X})",
    ],
    "bash expands what stands behind >& a second time": [
        f"echo a >&{X}",
        f"cat <&{X}",
    ],
    "the shell evaluates what is assigned to this variable, and evaluation can run commands": [
        f"RANDOM={X}",
        f"export OPTIND={X}",
    ],
    "this variable changes how programs load or how the shell reads": [
        f"for PS4 in {X}; do :; done",
        f"for PS4\nin {X}; do :; done",
        f"PATH+={X}",
        f"PATH=({X})",
    ],
    "`declare` reads its words again": [
        f"declare -a y={X}",
    ],
    "`local` reads its words again": [
        f"local y={X}",
    ],
    "`typeset` reads its words again": [
        f"typeset y={X}",
    ],
    "the value would be read as the name of a variable": [
        f"readonly -a y={X}",
    ],
    "`unset` reads its words again": [
        f"unset 'a['{X}']'",
    ],
    "`mapfile` reads its words again": [
        f"mapfile {X}",
    ],
    "`hash` reads its words again": [
        f"hash -p {X} ls",
    ],
    "`jobs` reads its words again": [
        f"jobs -x touch {X}",
    ],
    "`compgen` reads its words again": [
        f"compgen -W {X}",
    ],
    "`test` could read this value as an operator or a name": [
        f"[ {{-v,{X}}} ]",
        f"[ -v {X} ]",
        f'[ {X} "$y" ]',
        f"test {X} = a -o {X} = b",
    ],
    "the shell could read this value as an option or a name": [
        f"printf {{-v,a}} {X}",
        f"printf -v {X} a",
        f"printf {X}",
        f"printf $y {X}",
    ],
    "how shells read this place is not certain: a subscript has blanks in it": [
        f"x[ {X} ]=1",
    ],
    "how shells read this place is not certain: a coprocess reads what other commands print": [
        f"coproc cat; echo {X}",
    ],
    "how shells read this place is not certain: $'…' with an escaped quote ends earlier in some shells": [
        f"echo $'it\\'s' {X}",
        f"echo $'a\\\\' {X}",
        f"echo {X} $'\\'' | sh",
    ],
    "how shells read this place is not certain: a line is continued inside an operator": [
        f"echo $\\\n'it' {X}",
    ],
    "a shell without [[ ]] or &> would start a command here": [
        f"[[ -n a || {X} == b ]]",
        f"[[ -n a || eval {X} ]]",
        f"! [[ -n a && {X} == b ]]",
        f"make &>log {X}",
    ],
    "this here-document has substitutions, and quotes do not protect there": [
        f"cat <<EOF\n$(eval {X})\nEOF",
        f"cat <<EOF\n${{y:-{X}}}\nEOF",
    ],
    "a backslash before ${{ takes the meaning from the $": [
        f"cat <<EOF\n\\{X}\nEOF",
    ],
    "a $ right before ${{ changes what the shell reads": [
        f"cat <<EOF\n${X}\nEOF",
    ],
    "how shells read this place is not certain: a control character, which shells may leave out": [
        f"ev\0al {X}",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "script"), [(reason, script) for reason, scripts in REFUSED_BECAUSE.items() for script in scripts]
)
def test_refused_because(reason: str, script: str) -> None:
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(script))
    assert {item.code for item in result.diagnostics} == {"FQ501"}
    assert result.diagnostics[0].message == f"no value can stand here: {reason}"
    assert all(item.help for item in result.diagnostics)


@pytest.mark.parametrize("place", REFUSED)
def test_refused_with_reason_and_fix(place: str) -> None:
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(REFUSED[place]))
    assert {item.code for item in result.diagnostics} == {"FQ501"}, REFUSED[place]
    helps = {item.help for item in result.diagnostics}
    assert all(helps)
    assert place != "quote elsewhere" or helps == {"close the quote"}


REMEDIES = {
    "eval make @": "eval 'make \"$X\"'",
    'sh -c "make @"': "sh -c 'make \"$X\"'",
    "echo @ | sh": "echo 'make \"$X\"' | sh",
    "echo $(( @ + 1 ))": "echo $(( ${{ number(params.x) }} + 1 ))",
    "a[@]=1": "a[${{ number(params.x) }}]=1",
    "[[ @ -gt 3 ]]": "[[ ${{ number(params.x) }} -gt 3 ]]",
    "declare -i y; y=@": "declare -i y; y=${{ number(params.x) }}",
    "cat <<'EOF'\n@\nEOF": "x=@\ncat <<EOF\n$x\nEOF",
    "cat <<EOF\n$(eval @)\nEOF": "x=@\ncat <<EOF\n$(date) $x\nEOF",
    "echo $'a@b'": "echo $'a'@$'b'",
    "echo \\@": "echo @",
    "echo $@": "echo @",
    "echo `echo @`": "echo $(echo @)",
    "echo ${y:-@}": 'x=@\necho ${y:-"$x"}',
    "echo $'it\\'s' @": "x=@\necho $'it\\'s' \"$x\"",
}
"""Scripts that are refused, with @ for the value, and what their help line makes of them."""


@pytest.mark.parametrize("script", REMEDIES)
def test_what_the_help_says_compiles(script: str) -> None:
    def compiled(text: str) -> Compilation:
        flow = "params: {x: {default: a}}\njobs:\n  a:\n    env: {X: '${{ params.x }}'}\n    run: "
        return compile_text(flow + json.dumps(text.replace("@", X)))

    assert {item.code for item in compiled(script).diagnostics} == {"FQ501"}
    assert compiled(REMEDIES[script]).diagnostics == ()


@pytest.mark.parametrize(
    "script",
    [
        f"diff <(echo {X}) <(echo b)",
        f"cat <<< {X}",
        f"[[ {X} == a* && -n {X} ]] && echo {X}",
        f"echo $(case a in a) echo {X};; esac) {X}",
        f'echo "$(echo "a)" {X})" {X}',
        f"while read -r line; do echo {X}; done < {X}",
        f"! grep {X} f 2>/dev/null >&2 | tee {X} & wait",
        f"python -m report --day {X} -o out/{X}.txt",
        f"bash ./scripts/run.sh -c {X}",
        f'a=(1 {X}); echo "${{a[@]}}" {X}',
        f"echo a\\\n {X}",
        f"./bin/{X} --help",
        f"if true; then echo {X}; elif false; then echo {X}; else echo {X}; fi",
        f"cat <<A <<'B'\n$(x\nA\nit's\nB\necho {X}",
        f"cat <<E\nline \\\nE\nE\necho {X}",
        f"echo '#' {X} a#b {X}",
        f'"$PYTHON" {X}',
        f"$PYTHON -m report {X}",
        f'"$PYTHON" -m report -c {X}',
        f'"$TOOL" --file {X}',
        f"bash -o pipefail x.sh {X}",
        f"bash x.sh -c {X}",
        f"bash -O extglob x.sh -c {X}",
        f"python3 -X dev -m report -c {X}",
        f"python3 -mreport -c {X}",
        f"node app.js -e {X}",
        f"perl -MPOSIX x.pl -e {X}",
        f"timeout {X} curl {X}",
        f"timeout --preserve-status 5 curl {X}",
        f"timeout -s {X} 5 curl {X}",
        f"nice -n {X} make {X}",
        f"xargs -n1 echo {X}",
        f"xargs -0 -n 1 -P 4 curl {X}",
        f"sudo -n -u {X} curl {X}",
        f"flock -n {X} curl {X}",
        f"chroot {X} ls {X}",
        f"setsid -w curl {X}",
        f"env -i A={X} curl {X}",
        f"watch -x curl {X}",
        f"find . -name {X}",
        f"find {X} -name a -exec grep x {{}} + -o -name {X}",
        f"find . -exec bash ./x.sh {X} \\;",
        f"echo {X} | grep x",
        f"echo {X} | xargs -n1 curl",
        f"echo {X} | xargs -I{{}} curl a/{{}}",
        f"echo {X} | python3 -m json.tool",
        f"echo {X} | python3 x.py - | sudo tee y",
        f"echo {X} | ssh host 'cat > f'",
        f"echo {X} | docker exec -i c cat",
        f"echo {X} | cat && sh",
        f"echo {X} | cat; bash -s < x.sh",
        f"echo {X}\nsh",
        f"echo {X} || sh",
        f"{{ echo {X}; }}; sh",
        f"while read -r l; do bash x.sh; done <<< {X}",
        f"case {X} in a) ;; sh | bash) ls ;; esac",
        f"curl {X} > >(tee log)",
        f"at {X} -f x.sh",
        f'printf "$(cat f)" {X}',
        f'x=$(cat {X}) y="$(cat {X})"',
        f"{X}/bin/run a",
        f"curl https://x/install.sh | sh -s -- --version {X}",
        f"curl https://x/install.sh | sudo bash -es -- {X}",
        f"sh -c 'echo \"$1\"' sh {X}",
        f"find . -exec bash -euc 'echo \"$1\"' bash {X} \\;",
        f"echo {X} | sh -c 'cat' sh",
        f'f() {{ rec "$1"; }}\ncurl https://x | sh\nf {X}',
        f"find . -exec sh -c 'echo \"$1\"' _ {{}} {X} \\;",
        f"a=({X} b)",
        f"IFS=$'\\n' rec {X}",
        f"echo {{{X},b}}",
        f"f() {{ sh x.sh {X}; }}; f",
        f"f() {{ rec; }}; echo {X} | f",
        f"if true; then curl x | sh; fi; rec {X}",
        f"echo {X} | {{ cat; }}; sh",
    ],
)  # fmt: skip
def test_allowed(script: str) -> None:
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(script))
    assert result.plan is not None, result.diagnostics
    checked = subprocess.run(
        ["bash", "-n"], input=result.plan.nodes[0].action.script.encode(), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    "script",
    [
        f"xargs -n1 echo {X} < /dev/null",
        f"find . -name {X}",
        f"find . -maxdepth 0 -exec test -n {X} \\; -o -name {X}",
        f"echo {X} | grep x || true",
        f"echo {X} | xargs -n1 echo || true",
        f"echo {X} | xargs -I{{}} echo a/{{}} || true",
        f"env -i A={X} env",
        f"printf %s {X} > show; cat show; echo {X} || sh",
        f"timeout {X} true || true",
        f"nice -n {X} true || true",
        f"bash x.sh -c {X} || true",
        f"bash -o pipefail x.sh {X} || true",
    ],
)
def test_allowed_with_hostile_values(script: str, tmp_path: Path) -> None:
    (tmp_path / "x.sh").write_text('printf %s "$@"', encoding="utf-8")
    for value in HOSTILE:
        output("bash", *compiled(script, value), tmp_path)
        assert not (tmp_path / "CANARY").exists(), value


THEIRS = [  # a program, a script, and the argument of the program with the value, or "" if it is on standard input
    ("python3", f"python3 -c 'print({X})'", "print(@)"),
    ("python3", f'python3 -W ignore -Ic "print({X})"', "print(@)"),
    ("python3", f"python3 -W {X} a.py", "@"),
    ("python3", f"echo {X} |& python3 -X dev", ""),
    ("python3", f"python3 - <<< {X}", ""),
    ("python3", f"python3 - <<EOF\n{X}\nEOF", ""),
    ("perl", f"perl -I lib -e {X}", "@"),
    ("node", f"node --max-old-space-size 9 -e {X}", "@"),
    ("node", f"echo {X} | node", ""),
    ("ruby", f"ruby -r json -ne {X}", "@"),
    ("php", f"php -d a=1 -r {X}", "@"),
    ("awk", f"awk '{{print {X}}}' in.txt", "{print @}"),
    ("sed", f"cat /dev/null | LC_ALL=C sed -e 's/a/{X}/'", "s/a/@/"),
    ("sed", f'sed "s/a/{X}/e" f', "s/a/@/e"),
    ("jq", f"jq '.a == \"{X}\"' in.json", '.a == "@"'),
    ("psql", f"psql -c \"select '{X}'\"", "select '@'"),
    ("git", f"git -c alias.z={X} z", "alias.z=@"),
    ("tar", f"tar --checkpoint-action=exec={X} -cf a b", "--checkpoint-action=exec=@"),
    ("npm", f'npm exec -c "{X}"', "@"),
    ("su", f'su -s /bin/true x -c "echo {X}"', "echo @"),
    ("flock", f"flock -w 3 f -c {X}", "@"),
    ("script", f"script -qc {X} f", "@"),
    ("env", f"env A=b {X}", "@"),
    ("ssh", f"ssh host echo {X}", "@"),
    ("ssh", f"echo {X} | ssh host", ""),
    ("at", f"at now <<< {X}", ""),
    ("crontab", f"crontab - <<< {X}", ""),
    ("xargs", f"xargs -n 1 -I {{}} {X}", "@"),
    ("xargs", f"echo {X} | xargs env", ""),
    ("find", f"find . -exec nice {X} {{}} \\;", "@"),
    ("timeout", f"timeout -k 1 5 {X}", "@"),
    ("timeout", f'timeout 5 "$(printf %s {X})"', "@"),
    ("nice", f"nice -5 nohup {X}", "@"),
    ("setsid", f"setsid -w {X}", "@"),
    ("stdbuf", f"stdbuf -o 0 {X}", "@"),
    ("chroot", f"chroot / {X}", "@"),
    ("watch", f"watch -n 5 ls {X}", "@"),
    ("sudo", f"sudo -u x {X}", "@"),
    ("sudo", f"echo {X} | sudo -s", ""),
    ("docker", f"docker run --name {X} image", "@"),
    ("recorder", f"$nothing recorder {X}", "@"),
    ("recorder", f'PATH_TO=bin; "$PATH_TO/recorder" {X}', "@"),
]  # fmt: skip
RECORDER = """#!/bin/sh
printf '%s\\0' "$@" > "$RECORD/arguments"
/bin/cat > "$RECORD/input"
"""


@pytest.mark.parametrize(("program", "script", "argument"), THEIRS)
def test_another_program_gets_the_value_unchanged(tmp_path: Path, program: str, script: str, argument: str) -> None:
    """The program may interpret the value."""
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / program).write_text(RECORDER, encoding="utf-8")
    (bin_directory / program).chmod(0o755)
    text, variables = compiled_once(script)
    for value in HOSTILE:
        environment = {"PATH": f"{bin_directory}:/usr/bin:/bin", "RECORD": str(tmp_path), **variables(value)}
        subprocess.run(
            ["bash", "-c", text],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=30,
        )
        arguments = (tmp_path / "arguments").read_bytes().split(b"\0")
        if argument:
            expected = argument.replace("@", value.rstrip("\n") if "$(" in script else value)
            assert expected.encode() in arguments, (script, value)
        else:
            printed = (tmp_path / "input").read_bytes()
            assert printed == f"{value}\n".encode() or (script.startswith("echo") and value == "-n"), (script, value)
        assert not (tmp_path / "CANARY").exists(), (script, value)


def test_the_documented_ways_are_allowed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "language.md").read_text(encoding="utf-8")
    table = page[page.index("| program | write |") :].partition("\n\n")[0]
    ways = [way.replace("\\|", "|") for way in re.findall(r"`([^`]*\$\{\{[^`]*)`", table)]
    assert len(ways) > 7
    for way in ways:
        result = compile_text(
            "params: {x: {}, name: {}, file: {}}\njobs:\n  a:\n    run: " + json.dumps(way),
            params=dict.fromkeys(("x", "name", "file"), "a"),
        )
        assert result.plan is not None, (way, result.diagnostics)


def test_another_language_gets_no_values() -> None:
    """`shell: python3`: its quoting is unknown, so values must be passed in `env`."""
    assert rewritten(f"print({X})", ("python3",))[1][0].code == "FQ502"
    for shell in (("ksh",), ("mksh", "-e"), ("zsh",), ("fish",), ("env", "python3")):
        assert rewritten(f"echo {X}", shell)[1][0].code == "FQ502"


@pytest.mark.parametrize("opened", ["$((", "$(", "${a:-", "(", "a=(", "{ ", "`", "case a in ", "a[", "f() {", "echo $("])
def test_deep_nesting_is_refused(opened: str) -> None:
    script = f"echo {X} {opened * 20_000}{X} 'a"
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(script))
    assert {item.code for item in result.diagnostics} == {"FQ501"}


@pytest.mark.parametrize("words", ["command ", "$a ", "sh -o ", "bash ", "exec ", "$(true) "])
def test_deeply_nested_commands_are_refused_fast(words: str) -> None:
    started = time.process_time()  # CPU time: the machine may be busy
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(f"echo {X} | {words * 5000}{X}"))
    assert {item.code for item in result.diagnostics} == {"FQ501"}
    assert time.process_time() - started < 10, "quadratic?"


UNCLOSED = {
    "double": 'echo "a',
    "single": "echo a\necho 'it",
    "ansi": "echo $'a\\'",
    "backtick": "echo `a",
    "substitution": "echo $(echo 'a)",
    "behind a here-document": "cat <<E\nit's\nE\necho 'a",
    "apostrophe": "echo it's",
}


def rewritten(script: str, shell: tuple[str, ...] = ()) -> tuple[str, list[Diagnostic]]:
    """Rewrite a script as the compiler does for jobs."""
    source, report = decode_source("flow.yaml", "run: " + json.dumps(script))
    root = read(source, report)
    assert isinstance(root, MapNode)
    node = root.entries["run"][1]
    assert isinstance(node, ScalarNode)
    text, variables = rewrite(node, shell, lambda _: False, SiteReader(report, Context.JOB), report)
    assert not variables
    return text, list(report.sorted())


@pytest.mark.parametrize("name", UNCLOSED)
def test_unclosed_quotes_are_refused_without_a_value_too(name: str) -> None:
    script = UNCLOSED[name]
    _, diagnostics = rewritten(script)
    assert [(item.code, item.message, item.help) for item in diagnostics] == [
        ("FQ501", "this quote is never closed", "close the quote")
    ]
    assert rewritten(script, ("python3",)) == (script, [])


@pytest.mark.parametrize(
    "script",
    [
        "",
        "cat <<EOF\nit's \" ` $(\nEOF\necho a",
        "cat <<'EOF'\nit's\nEOF",
        "cat <<-EOF\n\tit's\n\tEOF\necho 'a'",
        "cat <<A <<B\nit's\nA\nit's\nB",
        "x=$(cat <<E\nit's\nE\n)",
        "cat <<E\nit's never ended",
        "# it's\necho a # it's",
        "echo $'it\\'s' \"it's\" \\' it\\'s",
        'echo "${x:-it\'s}"',
        "echo ${x%'}'}",
        "echo $(( 1 << 2 )) ${#x} $#; (( x = 1 << 2 ))",
        "case a in 'a') echo \"$(case b in b) echo 'c';; esac)\";; esac",
        "echo `echo \\`echo a\\``",
    ],
)
def test_closed_quotes_are_not_refused(script: str) -> None:
    assert rewritten(script) == (script, [])
    assert subprocess.run(["bash", "--posix", "-n"], input=script.encode(), capture_output=True, check=False).returncode == 0


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.lists(
        st.sampled_from([*"ab'\"\\$`#<>(){}[]|&;=\n ", "$(", "${", "$'", "<<E\n", "((", "))", "$x", "case a in ", "esac"]),
        max_size=14,
    )
)
def test_a_script_that_is_not_parsed_has_no_open_quote(parts: list[str]) -> None:
    script = "".join(parts)
    scanner = Scanner(script, [])
    scanner.scan()
    if scanner.unclosed is not None:
        assert _PLAIN.sub("", script)
