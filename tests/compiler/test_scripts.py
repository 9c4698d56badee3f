"""No value changes what a script does: hostile values go through every allowed place of real shells and arrive byte for byte."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowq.compiler import compile_text
from flowq.expr import render, to_text

X = "${{ params.x }}"
SHELLS = [name for name in ("bash", "dash", "sh") if shutil.which(name)]

ARRIVES = {  # scripts that print exactly the value
    "bare": f"printf %s {X}",
    "double": f'printf %s "{X}"',
    "joined": f'printf %s ""{X}""',
    "assigned": f'y={X}; printf %s "$y"',
    "exported": f'export y={X}; printf %s "$y"',
    "substitution": f'printf %s "$(printf %s {X}; printf .)" | {{ y=$(cat; printf .); printf %s "${{y%..}}"; }}',
    "function": f'f() {{ printf %s "$1"; }}; f {X}',
    "loop": f'for y in {X}; do printf %s "$y"; done',
    "case": f"case {X} in {X}) printf %s {X};; *) echo no;; esac",
    "test": f"if [ {X} = {X} ]; then printf %s {X}; fi",
    "set": f'set -- {X} other; printf %s "$1"',
    "argument": f"sh -c 'printf %s \"$1\"' _ {X}",
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
    "single quotes": f"echo '{X}'",
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
}


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
    ],
)  # fmt: skip
def test_allowed(script: str) -> None:
    result = compile_text("params: {x: {default: a}}\njobs:\n  a:\n    run: " + json.dumps(script))
    assert result.plan is not None, result.diagnostics
    checked = subprocess.run(
        ["bash", "-n"], input=result.plan.nodes[0].action.script.encode(), capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
