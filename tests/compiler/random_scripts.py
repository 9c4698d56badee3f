"""Random shell scripts with a value at random places, and their execution by real shells."""

import os
import random
import signal
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

VALUE = "§"  # one character, so that no piece is inserted into it
HARMLESS = "plain"
HOSTILE = (
    *(
        "$(canary)",
        "`canary`",
        "; canary ;",
        "'; canary; '",
        '"; canary; "',
        "a[$(canary)]",
        "b canary",
        "eval",
        "-v",
        "\ncanary\n",
    ),
    *(
        "canary",
        "E\ncanary\nE",
        ") canary (",
        "} canary",
        "|| canary",
        "-c",
        "([0]=$(canary))",
        "x=$(canary)",
        "\\",
        "${IFS}canary",
    ),
)
"""Values that execute `canary` if the shell reads them as syntax. None has a slash or is empty: that changes what redirections do."""

RECORDER = """#!/bin/sh
echo "${0##*/} $#" >> "$TRACE"
echo out
"""
RECORDED = ("rec", "canary", "sudo", "env", "xargs")
TOOLS = ("sh", "bash", "dash", "cat", "tee")
SOUP = (
    *("'", '"', "\\", "`", "$", "$(", ")", "(", "${", "}", "{ ", "$((", "))", "((", "[[ ", " ]]", "[ ", " ]", "<<E\n", "\nE\n", "\n", " ", ";"),
    *("|", "&&", "||", "&", ">", "<", "<<<", ">&", "&>", " # ", "!", "$'", '$"', "\\\n", ";;", "y[", "]=", "a=(", "=", VALUE, " eval ", " sh ", " -c "),
)  # fmt: skip
HEADS = (
    *("rec", "rec", "rec", "eval", "sh -c", "bash -c 'rec \"$1\"' sh", "sh -ec", "command", "command -v", "export y=1", "declare", "declare -i", "unset"),
    *("printf %s", "printf", "set --", "read", "cat <<<", "env", "$nothing", '"$nothing"', "let", "trap", ".", "test", "y=1", "a[1]=2", "mapfile"),
    *("ev{a,}l", "{eval,a}", "$'\\x65val'", "((sh))", "(cat | sh) <<<", "for PS4 in", "for n in", "sh {-c,rec}"),
    *("sh", "bash -s", "tee >(cat)", "xargs sh -c", "sudo sh", "time rec", "! rec", "builtin", "local", "cat", "echo", ":", "[", "[[", "case", "z"),
)  # fmt: skip


@dataclass
class Scripts:
    """A generator of scripts, the same for the same seed."""

    chance: random.Random

    def script(self) -> str:
        """Return a script of a few commands, one in three with random insertions and deletions."""
        text = self._list(2)
        if VALUE not in text:
            text += f"\nrec {VALUE}"
        if self.chance.random() < 0.35:
            for _ in range(self.chance.randint(1, 3)):
                place = self.chance.randrange(len(text) + 1)
                text = text[:place] + self.chance.choice(SOUP) + text[place + self.chance.choice((0, 0, 1, 2)) :]
        return text.replace("${{", "{").replace(VALUE, "${{ params.x }}") + "\nrec end\n"

    def _list(self, depth: int) -> str:
        commands = [self._command(depth) for _ in range(self.chance.randint(1, 3))]
        joined = commands[0]
        for command in commands[1:]:
            end = (
                "\n"
                if joined.endswith("\nE\n")
                else self.chance.choice(("; ", "\n", " && ", " || ", " | ", " |\n", " |& ", " & "))
            )
            joined += ("" if joined.endswith("\n") else end) + command
        return joined

    def _command(self, depth: int) -> str:
        inner = self._list(depth - 1) if depth else "rec"
        forms = (
            f"if rec; then {inner}; fi",
            f"for w in {self._word(0)}; do {inner}; done",
            f"case {self._word(0)} in zz) {inner};; {VALUE}) {inner};; esac",
            f"{{ {inner}; }}",
            f"( {inner} )",
            f"f{depth}() {{ {inner}; }}; f{depth}",
            f"function f{depth} {{ {inner}; }}",
            f"while false; do {inner}; done",
            f"rec {self._word(0)} | {{ {inner} | {self.chance.choice(('sh', 'cat', 'rec'))}; }}",
            f"{{ {inner}; }} | {self.chance.choice(('sh', 'cat', 'bash -s', 'tee log'))}",
        )
        if depth and self.chance.random() < 0.3:
            return self.chance.choice(forms).replace("\n;", "\n").replace("\nE\n; ", "\nE\n") + self._redirection()
        if self.chance.random() < 0.12:
            start = self.chance.choice(("cat", "sh", "rec", "bash -s", "cat | sh", "sh -c cat"))
            end = self.chance.choice(("E", "E", "-E", "'E'", "\\E"))
            return f"{start} <<{end}\n{self._document()}\nE\n"
        head = self.chance.choice(HEADS)
        words = [self._word(depth) for _ in range(self.chance.randint(1, 3))]
        if head in ("[", "[[", "case"):
            words = [word if word not in HOSTILE else "a" for word in words]  # a value may equal a word of the script
        if head == "[":
            return f"[ {' '.join(words)} ]"
        if head == "[[":
            operator = self.chance.choice((" == ", " && ", " || ", " -eq ", " != ", " =~ "))
            return f"[[ {operator.join(words)} ]]"
        if head == "case":
            return f"case {words[0]} in {words[-1]}) rec;; esac"
        if head == "z":
            return self.chance.choice(
                (f"z={words[0]}", f"z={words[0]} rec", f"z=({' '.join(words)})", f"z+={words[0]}", f"{words[0]} rec")
            )
        return f"{head} {' '.join(words)}{self._redirection()}"

    def _redirection(self) -> str:
        if self.chance.random() < 0.8:
            return ""
        return self.chance.choice(
            (
                f" > {VALUE}",
                f" >&{VALUE}",
                " 2>&1",
                f" <<< {self._word(0)}",
                " &> log",
                f" >> log {VALUE}",
                " > >(sh)",
                " < /dev/null",
            )
        )

    def _document(self) -> str:
        lines = (
            f"text {VALUE}",
            f'"{VALUE}"',
            "it's",
            f"rec {VALUE}",
            "$(rec)",
            f"$(rec {VALUE})",
            f"\\{VALUE}",
            "E ",
            "a\\",
            f"`rec {VALUE}`",
            "EOF",
        )
        return "\n".join(self.chance.choices(lines, k=self.chance.randint(1, 3)))

    def _word(self, depth: int) -> str:
        inner = self._list(depth - 1) if depth and self.chance.random() < 0.5 else f"rec {VALUE}"
        return self.chance.choice((
            *(VALUE, VALUE, f'"{VALUE}"', f"'{VALUE}'", f"a{VALUE}", f'"a b{VALUE}"', f"'a'{VALUE}", f'a"{VALUE}"\'b\'', f"--x={VALUE}", f"./{VALUE}"),
            *("a", "-v", "'a b'", '"it\'s"', "$'a\\'b'", "$'a'", f"$'{VALUE}'", f'$"{VALUE}"', "\\'", f"\\{VALUE}", f"${VALUE}", "a\\\nb", "{a,b}", "{-v,c}", "#"),
            *(f"`rec {VALUE}`", f"$(( {VALUE} ))", "$((1 + 1))", f"${{y:-{VALUE}}}", "${y:-b}", f'"${{y:-\'{VALUE}\'}}"', '"${y:-it\'s}"', "${#y}", f"$[ {VALUE} ]"),
            *(f"$({inner})", f'"$({inner})"', f"<({inner})", f"y[{VALUE}]=1", f"[{VALUE}]", f"{VALUE}=1", "eval", "sh", "-c", "$nothing", '"$nothing"', "=", "-a"),
        ))  # fmt: skip


class Sandbox:
    """A directory whose scripts find only recorders and a few tools."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._bin = directory / "bin"
        self._bin.mkdir()
        self.works = 0
        for name in RECORDED:
            (self._bin / name).write_text(RECORDER, encoding="utf-8")
            (self._bin / name).chmod(0o755)
        for name in TOOLS:
            if (
                found := next((path for path in ("/bin", "/usr/bin") if os.access(f"{path}/{name}", os.X_OK)), None)
            ) is not None:
                (self._bin / name).symlink_to(f"{found}/{name}")

    def executed(self, shell: str, script: str, variables: dict[str, str]) -> Counter[str] | None:
        """Return the executed programs with their numbers of arguments, and how often each ran; None if the script does not end."""
        self.works += 1
        place = self._directory / f"work{self.works}"
        place.mkdir()
        (place / "script").write_text(script, encoding="utf-8")
        environment = {"PATH": str(self._bin), "TRACE": str(place / "trace"), "LC_ALL": "C.UTF-8", **variables}
        command = [str(self._bin / shell), "script"]
        process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.communicate(timeout=5)  # until all processes that hold its output have ended
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        trace = place / "trace"
        return Counter(trace.read_text(encoding="utf-8").splitlines()) if trace.exists() else Counter()
