"""Values cannot change the meaning of a script: hostile values pass through every allowed place of real shells unchanged."""

import json
import os
import random
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowq.compiler import Diagnostic, compile_text
from flowq.compiler.expressions.sites import Context, SiteReader
from flowq.compiler.shell.interpolation import _PLAIN, rewrite
from flowq.compiler.shell.lexer import ShellLexer
from flowq.compiler.syntax.nodes import MapNode, ScalarNode
from flowq.compiler.syntax.parser import read
from flowq.compiler.syntax.source import decode_source
from flowq.expr import render, to_text

X = "${{ params.x }}"
SHELLS = [name for name in ("bash", "dash", "sh") if shutil.which(name)]

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
    "file": f'printf %s {X} > "$OUT"; cat "$OUT"',
    "comment": f"# {X} it's\nprintf %s {X}",
    "document before": f"cat > /dev/null <<'E'\nit's \" $(\nE\nprintf %s {X}",
    "group": f"{{ true && ( printf %s {X} ) ; }} || false",
}

HOSTILE = [
    "plain", "", " ", "two words", "-n", "-rf", "--", "*", "~", "$HOME", "$(touch CANARY)", "`touch CANARY`", '"; touch CANARY; "', "'; touch CANARY; '",
    "a[$(touch CANARY)]", "x=1", "\n", "a\nb\n", "\t", "\\", "\\\\", '\\"', "${IFS}", "%s%n", "!!", "|| touch CANARY", "& touch CANARY &", "é ☃ 𝄞", "#", ">CANARY", "$((1+1))",
    "EOF", "]]", "-o", "(", "!", "FLOWQ_V1", "\x01\x7f\x1b[31m", "a'b\"c`d$e\\f",
]  # fmt: skip


def compiled(script: str, value: str) -> tuple[str, dict[str, str]]:
    text = "params: {x: {type: string}}\njobs:\n  a:\n    run: " + json.dumps(script)
    result = compile_text(text, params={"x": value})
    assert result.plan is not None, result.diagnostics
    action = result.plan.nodes[0].action
    return action.script, {name: to_text(render(item, {"params": {"x": value}})) for name, item in action.variables.items()}


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
    for value in HOSTILE if shell == "bash" else HOSTILE[::4]:
        script, variables = compiled(ARRIVES[place], value)
        assert output(shell, script, variables, tmp_path) == value, (place, value)
        assert not (tmp_path / "CANARY").exists(), (place, value)


FRAGMENTS = [
    *HOSTILE, "touch CANARY", "\n touch CANARY \n", "$(touch CANARY)", "`touch CANARY`", "\r\n", "\v", "${x:=$(touch CANARY)}", "$x", "$1", "$@", "$?", "$$", "${#}", "<(touch CANARY)",
    "<<EOF\n", "\nEOF\n", "{a,b}", "[a-z]*", "?", "~root", "^", "|&", "&&", ";;", "in", "esac", "done", "}", "{", ")", "'", '"', "\\\n", "--help", "-c", "-e", "-x", "-o",
    "%d", "%b\\n", "\\x41", "\u202e", "\u2028", "\ufeff", "A" * 3000,
]  # fmt: skip
DEAR = {"input of python -c": 3}  # fewer values for slow places


def hostile_values(count: int, seed: str) -> list[str]:
    """Return strings of hostile pieces, the same for the same seed."""
    chance = random.Random(seed)
    return ["".join(chance.choices(FRAGMENTS, k=chance.randint(1, 6))) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS[:2])
@pytest.mark.parametrize("place", ARRIVES)
def test_thousands_of_hostile_values_arrive(place: str, shell: str, tmp_path: Path) -> None:
    """All places and shells together make thousands. One shell runs the script for each value in a subprocess."""
    values = hostile_values(DEAR.get(place, 100 if shell == "bash" else 30), place)
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
    "awk": f"awk '{{print {X}}}' in.txt",
    "sed behind a pipe": f"cat in.txt | LC_ALL=C sed -e 's/a/{X}/'",
    "jq": f"timeout 5 jq '.a == \"{X}\"' in.json",
    "sh -c in single quotes": f"sh -c 'echo {X}'",
    "python -c in single quotes": f"python3 -c 'print({X})'",
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
    "here-document": f"cat <<EOF\n{X}\nEOF",
    "quoted here-document": f"cat <<'EOF'\n{X}\nEOF",
    "indented here-document": f"cat <<-EOF\n\t{X}\n\tEOF",
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
    "su -c": f'su x -c "echo {X}"',
    "sh in a pipe": f'true | bash -c "echo {X}"',
    "sh in a substitution": f'echo "$(bash -c "echo {X}")"',
    "sh in an if": f'if sh -c "{X}"; then :; fi',
    "python -c": f'python3 -c "print({X})"',
    "perl -e": f'perl -e "print {X}"',
    "option of a shell": f"bash {X} {X}",
    "trap": f'trap "echo {X}" EXIT',
    "alias": f"alias x={X}",
    "let": f"let x={X}",
    "source": f". {X}",
    "ssh": f"ssh host echo {X}",
    "command": f"{X} a",
    "quoted command": f'"{X}" a',
    "command after and": f"true && {X}",
    "command in substitution": f"echo $({X})",
    "exec": f"exec {X}",
    "env": f"env A=b {X}",
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
AGAIN = "reads this text again as a program"
FED = "it comes to the standard input of a program that reads its script there"
PROGRAM = "the value would choose which program runs"
OPTION = "the value would choose which program or option runs"
REFUSED_BECAUSE = {
    **dict.fromkeys(
        [
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
            f"python3 -X dev -c {X}",
            f"python3 -W ignore -Ic {X}",
            f'python3 "-cprint({X})"',
            f"perl -I lib -e {X}",
            f"perl -e 1 -e {X}",
            f"node -r fs -e {X}",
            f"node --max-old-space-size 9 -e {X}",
            f"ruby -r json -ne {X}",
            f"php -d a=1 -r {X}",
            f"su -s /bin/sh x -c {X}",
            f"flock f -c {X}",
            f"flock -w 3 f -c {X}",
            f"script -qc {X}",
            f"script -q -c {X} f",
            f"env -S {X}",
            f"timeout 5 bash -o pipefail -c {X}",
            f"echo {X} | xargs sh -c",
            f"echo {X} | xargs -I{{}} sh -c 'echo {{}}'",
        ],
        AGAIN,
    ),
    **dict.fromkeys([f"X=sh; $X -c {X}", f'"$X" -o pipefail -c {X}', f"${{A}}sh -ec {X}"], "could announce a program"),
    **dict.fromkeys(
        [
            f"bash -s <<< {X}",
            f"bash <<< {X}",
            f"bash - <<< {X}",
            f"bash -s a <<< {X}",
            f"python3 - <<< {X}",
            f"source /dev/stdin <<< {X}",
            f"bash /dev/stdin <<< {X}",
            f"sh < <(echo {X})",
            f"sh < {X}",
            f"echo {X} | sh",
            f"echo {X} |\n  sh",
            f"echo {X} | sudo -u x sh",
            f"echo {X} | sudo -s",
            f"echo {X} | env A=1 bash -eu",
            f"echo {X} | grep a | bash -o pipefail",
            f"echo {X} |& python3 -X dev",
            f"echo {X} | perl -I lib",
            f"echo {X} | node",
            f"echo {X} | timeout 5 sh",
            f"echo {X} | chroot /",
            f"echo {X} | ssh host",
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
            f"at now <<< {X}",
            f"echo {X} | at now",
            f"crontab - <<< {X}",
            f"echo {X} | $SH",
        ],
        FED,
    ),
    **dict.fromkeys(
        [
            f"xargs {X}",
            f"xargs -n 1 -I {{}} {X}",
            f"echo {X} | xargs env",
            f"find . -exec {X}",
            f"find . -name a -execdir {X} {{}} +",
            f"find . -exec nice {X} {{}} \\;",
            f"timeout 5 {X}",
            f"timeout --sig KILL 5 {X}",
            f"timeout -k 1 5 {X}",
            f"timeout $OPTS 5 {X}",
            f"setsid {X}",
            f"setsid -w {X}",
            f"nice -n 5 {X}",
            f"nice -5 nohup {X}",
            f"ionice -c 2 {X}",
            f"stdbuf -o0 {X}",
            f"stdbuf -o 0 {X}",
            f"chroot / {X}",
            f"watch -n 5 -x {X}",
            f"flock f {X}",
            f"sudo -u x {X}",
            f"exec -a a {X}",
            f"$(echo {X}) a",
            f'timeout 5 "$(echo {X})"',
        ],
        PROGRAM,
    ),
    **dict.fromkeys(
        [f"bash <(echo {X})", f"bash --rcfile <(echo {X})", f"python3 -W {X} a.py", f"find . -exec sh {X}", f"echo {X} | xargs -n1 sh"],
        OPTION,
    ),
    **dict.fromkeys(
        [f". <(echo {X})", f"source <(echo {X})", f"source <(cat <<< {X})"], "the value would choose which script is read"
    ),
    f'eval "$(echo {X})"': "reads its words again",
    f"watch {X}": "gives its words to a shell",
    f"watch ls {X}": "gives its words to a shell",
    f"[[ $(echo {X}) -eq 1 ]]": "evaluates numbers",
    f"a[$(echo {X})]=1": "a subscript is evaluated",
    f"declare -i n; n=$(echo {X})": "the script declares number variables",
}  # fmt: skip


@pytest.mark.parametrize("script", REFUSED_BECAUSE)
def test_refused_because(script: str) -> None:
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(script.replace("\\n", "\n")))
    assert [item.code for item in result.diagnostics] == ["FQ501"]
    assert REFUSED_BECAUSE[script] in result.diagnostics[0].message
    assert result.diagnostics[0].help


@pytest.mark.parametrize("place", REFUSED)
def test_refused_with_reason_and_fix(place: str) -> None:
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(REFUSED[place]))
    assert {item.code for item in result.diagnostics} == {"FQ501"}, REFUSED[place]
    assert all(item.help for item in result.diagnostics)


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
        f"echo $'it\\'s' {X}",
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
        f"echo {X} | grep -q sh | tee bash",
        f"echo {X} | xargs -n1 curl",
        f"echo {X} | xargs -I{{}} curl a/{{}}",
        f"echo {X} | xargs sh -c 'echo \"$1\"' _",
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
        f"diff <(echo {X}) <(sh)",
        f"curl {X} > >(tee log)",
        f"at {X} -f x.sh",
        f'[ "$(wc -l < {X})" -gt 1 -a -n a ]',
        f'printf "$(cat f)" {X}',
        f'x=$(cat {X}) y="$(cat {X})"',
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
        f"echo {X} | xargs sh -c 'echo \"$1\"' _ || true",
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


@pytest.mark.parametrize("words", ["nohup ", "$a ", "timeout --sig ", "sh -o ", "xargs ", "find . -exec "])
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
    text, variables = rewrite(node, shell, SiteReader(report, Context.JOB), report)
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
    lexer = ShellLexer(script, [])
    lexer.scan()
    if lexer.unclosed is not None:
        assert _PLAIN.sub("", script)
