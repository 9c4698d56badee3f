"""The programs a script may run, as far as they run others: which options take an argument, and which argument is code.

Tables and the little that reads them; the rules for what may stand where are in `shell_rules`.
"""

import re
from dataclasses import dataclass
from typing import Final

LANGUAGES: Final = frozenset({"awk", "gawk", "mawk", "nawk", "sed", "gsed", "jq", "yq"})
"""Programs whose own programs people write in single quotes."""

EXPANSION: Final = "\1"  # stands in the text of a word for what the shell itself expands


@dataclass(frozen=True)
class Options:
    """Which options of a program take an argument, and what the argument is. Short ones by their letters, long ones by name."""

    taking: str = ""
    long: tuple[str, ...] = ()
    code: str = ""  # the argument is a program
    long_code: tuple[str, ...] = ()
    module: str = ""  # the argument names the program; what follows is the program's own
    operands: int = 0  # of a wrapper: its own words between its options and the command
    guess: bool = False  # any other long option could take an argument too
    ends: bool = False  # behind the code there are no options any more
    late = False  # the code is not the next word but the one behind all options

    def argument(self, option: str) -> str:
        """Return what the word behind an option is: "code", "module", "value", "maybe" a value, or nothing special.

        With a "+" the argument is in the word itself, as in `-n5`.
        """
        if option.startswith("--"):
            return self._long(option)
        for position, letter in enumerate(option[1:], 2):
            if letter in self.code or letter in self.module or letter in self.taking or letter == EXPANSION:
                kind = "module" if letter in self.module else "value" if letter in self.taking else "code"
                return kind if position == len(option) else kind + "+"
        return ""

    def announces(self, option: str) -> bool:
        """Tell whether a word behind this option is code."""
        return self.argument(option) == "code"

    def _long(self, option: str) -> str:
        name, equals, _ = option.partition("=")
        if option == "--":
            return ""
        if name in self.long_code:
            return "code" + "+" * bool(equals)
        if equals:
            return ""
        if name in self.long:
            return "value"
        return "maybe" if self.guess or any(known.startswith(name) for known in self.long + self.long_code) else ""


class ShellOptions(Options):
    """Shells read all letters of `-ceuo` before the argument of any of them."""

    late = True

    def argument(self, option: str) -> str:
        """Return what the word behind an option is."""
        if option.startswith("--"):
            return self._long(option).replace("code", "")
        return "value" if set(option[1:]) & set(self.taking) else ""

    def announces(self, option: str) -> bool:
        """Tell whether a word behind this option is code."""
        if option.startswith("--"):
            return self._long(option) == "code"
        return "c" in option or EXPANSION in option


class UnknownOptions(Options):
    """Of a program that a variable names: any option could take an argument, and `-c` could be a shell's."""

    late = True

    def argument(self, option: str) -> str:
        """Return what the word behind an option is."""
        return "module" if option == "-m" else "" if "=" in option or self.announces(option) else "maybe"

    def announces(self, option: str) -> bool:
        """Tell whether a word behind this option is code."""
        return option in self.long_code or re.fullmatch(r"-[A-Za-z]*(?:c[A-Za-z]*|[eE])", option) is not None


SHELL: Final = ShellOptions("oOTR", ("--rcfile", "--init-file"), "c", ("--command",), ends=True)
SU: Final = Options("sgGwu", ("--shell", "--group", "--supp-group", "--user"), "c", ("--command", "--session-command"))
UNKNOWN: Final = UnknownOptions(long_code=("--command", "--eval", "--print"))
INTERPRETERS: Final = (  # programs that take a program as an argument, or read it from their input
    (re.compile(r"(?:ba|da|z|k|mk|a|c|tc)?sh"), SHELL),
    (re.compile(r"su|runuser"), SU),
    (re.compile(r"fish"), Options("dDof", ("--debug", "--features"), "cC", ("--command", "--init-command"))),
    (re.compile(r"python[0-9.]*|pypy[0-9.]*"), Options("WXQ", ("--check-hash-based-pycs",), "c", (), "m", ends=True)),
    (re.compile(r"perl[0-9.]*"), Options("IMm", (), "eE")),
    (re.compile(r"ruby[0-9.]*"), Options("IrCE", (), "e", guess=True)),
    (re.compile(r"node|nodejs|bun"), Options("rC", (), "ep", ("--eval", "--print"), guess=True)),
    (
        re.compile(r"php[0-9.]*"),
        Options("cdtzS", (), "rBRE", ("--run", "--process-code", "--process-begin"), "fF", guess=True),
    ),
    (re.compile(r"lua(?:jit)?[0-9.]*"), Options("lj", (), "e")),
    (re.compile(r"R|Rscript|julia|osascript"), Options("pLltCJHf", (), "eE", ("--eval", "--print"), guess=True)),
)
USER: Final = (
    "--user",
    "--group",
    "--chdir",
    "--host",
    "--prompt",
    "--close-from",
    "--chroot",
    "--role",
    "--type",
    "--command-timeout",
)
WRAPPERS: Final = {  # programs that run the command behind their own words
    **dict.fromkeys(("command", "builtin", "nohup", "setsid", "busybox", "eatmydata", "fakeroot", "caffeinate"), Options()),
    "exec": Options("a"),
    "env": Options("uC", ("--unset", "--chdir"), "S", ("--split-string",)),
    "sudo": Options("ugCchpRrTtUD", USER),
    "doas": Options("uC"),
    "time": Options("fo", ("--format", "--output")),
    "nice": Options("n", ("--adjustment",)),
    "ionice": Options("cnpPu", ("--class", "--classdata", "--pid", "--pgid", "--uid")),
    "timeout": Options("ks", ("--kill-after", "--signal"), operands=1),
    "gtimeout": Options("ks", ("--kill-after", "--signal"), operands=1),
    "stdbuf": Options("ioe", ("--input", "--output", "--error")),
    "chroot": Options("", ("--userspec", "--groups"), operands=1),
    "taskset": Options("", (), operands=1),
    "chrt": Options("TPD", ("--sched-runtime", "--sched-period", "--sched-deadline"), operands=1),
    "unshare": Options("SGRw", ("--setuid", "--setgid", "--root", "--wd", "--propagation", "--setgroups", "--map-user", "--map-group")),
    "nsenter": Options("tSG", ("--target", "--setuid", "--setgid")),
    "setpriv": Options("", ("--reuid", "--regid", "--groups", "--inh-caps", "--ambient-caps", "--bounding-set", "--securebits", "--pdeathsig")),
    "strace": Options("abeEIoOpPsSuUX", ("--output", "--trace", "--attach", "--user", "--env")),
    "gosu": Options(operands=1),
    "su-exec": Options(operands=1),
    "flock": Options("wE", ("--timeout", "--wait", "--conflict-exit-code"), "c", ("--command",), operands=1),
    "script": Options(
        "IOBTEmo", ("--log-in", "--log-out", "--log-io", "--log-timing", "--logging-format", "--echo", "--output-limit"),
        "c", ("--command",), operands=1,
    ),
    "sg": Options("", (), "c", operands=1),
    "xargs": Options(
        "adEILnPsJRS", ("--arg-file", "--delimiter", "--max-args", "--max-procs", "--max-chars", "--process-slot-var"),
    ),
    "watch": Options("nq", ("--interval", "--equexit")),
}  # fmt: skip
SHELLS_WITHOUT_COMMAND: Final = frozenset({"chroot", "unshare", "nsenter", "script"})
REMOTE: Final = frozenset({"docker", "podman", "nerdctl", "kubectl", "ssh"})  # what they run reads their standard input
STDIN: Final = frozenset({"-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"})
FIND_COMMANDS: Final = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
DECLARING: Final = frozenset({"declare", "typeset", "local", "export", "readonly"})
ARITHMETIC_TESTS: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R"})
