"""Masks: every form of a secret is removed and all other text kept, wherever chunks end."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.parse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowq.worker.secrets.encodings import SHORTEST, variants
from flowq.worker.secrets.execution import ExecutionSecrets
from flowq.worker.secrets.masking import MASK, Mask, MaskedStream
from flowq.worker.supervisor.output.buffer import OutputBuffer

BASH = shutil.which("bash")

ENCODERS: dict[str, Callable[[str], bytes]] = {
    "raw": str.encode,
    "json": lambda text: json.dumps(text)[1:-1].encode(),
    "json, unescaped": lambda text: json.dumps(text, ensure_ascii=False)[1:-1].encode(),
    "repr": lambda text: repr(text)[1:-1].encode(),
    "repr of bytes": lambda text: repr(text.encode())[2:-1].encode(),
    "quoted for a shell": lambda text: shlex.quote(text).strip("'").encode(),
    "base64": lambda text: base64.b64encode(text.encode()),
    "base64, without padding": lambda text: base64.b64encode(text.encode()).rstrip(b"="),
    "base64, with a newline": lambda text: base64.b64encode(text.encode() + b"\n"),
    "base64, urlsafe": lambda text: base64.urlsafe_b64encode(text.encode()),
    "url": lambda text: urllib.parse.quote(text, safe="").encode(),
    "url path": lambda text: urllib.parse.quote(text).encode(),
    "url form": lambda text: urllib.parse.quote_plus(text).encode(),
    "url, small letters": lambda text: re.sub("%..", lambda escape: escape[0].lower(), urllib.parse.quote(text, "")).encode(),
    "ascii": lambda text: ascii(text)[1:-1].encode(),
    "repr with both quotes": lambda text: repr("'" + text + '"')[3:-2].encode(),
}

# No asterisks: a mask could look like a secret of asterisks.
CHARACTERS = st.characters(exclude_characters="*\0", exclude_categories=["Cs"])
SECRETS = st.text(CHARACTERS, min_size=SHORTEST, max_size=60).filter(lambda text: len(text.strip()) >= SHORTEST)
NOISE = st.binary(max_size=40)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


def streamed(mask: Mask, chunks: list[bytes]) -> bytes:
    stream = MaskedStream(mask)
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.end()])


def plainly(data: bytes, patterns: set[bytes]) -> bytes:
    """Return the masked data by the definition: from the left, the longest form that begins at a position."""
    longest_first = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
    return re.sub(b"|".join(map(re.escape, longest_first)), MASK, data)


@settings(max_examples=400, deadline=None)
@given(
    secrets=st.lists(SECRETS, min_size=1, max_size=3),
    encoders=st.lists(st.sampled_from(sorted(ENCODERS)), min_size=1, max_size=4),
    noise=st.lists(NOISE, min_size=5, max_size=5),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
@example(secrets=["aaaa", "aaaaaaa"], encoders=["raw", "raw"], noise=[b"aaa", b"a", b"", b"", b"aa"], cuts=[1, 2, 3, 4, 5])
@example(secrets=["one line\nand two"], encoders=["raw"], noise=[b"one line\nand", b"", b"", b"", b""], cuts=[9, 12])
def test_all_forms_are_masked_and_other_text_is_unchanged(
    secrets: list[str], encoders: list[str], noise: list[bytes], cuts: list[int]
) -> None:
    data = noise[0]
    for number, name in enumerate(encoders):
        data += ENCODERS[name](secrets[number % len(secrets)]) + noise[number + 1]
    patterns = set().union(*map(variants, secrets))
    mask = Mask({f"S{number}": secret for number, secret in enumerate(secrets)})
    masked = streamed(mask, pieces(data, cuts))
    assert masked == plainly(data, patterns)
    long = data + b"\0" * 5000 + data  # more than one chunk of the search
    assert streamed(mask, pieces(long, cuts)) == plainly(long, patterns)
    assert not any(pattern in masked for pattern in patterns)


@settings(max_examples=200, deadline=None)
@given(secret=SECRETS, name=st.sampled_from(sorted(ENCODERS)), before=NOISE, after=NOISE)
def test_every_form_is_masked(secret: str, name: str, before: bytes, after: bytes) -> None:
    form = ENCODERS[name](secret.strip())
    assert form not in Mask({"S": secret}).apply(before + b" " + form + b" " + after)[0]


AWKWARD = [
    *("it's-a-s3cret", "a'bb\"cc\\quartz$ee`ff-9", "café-garçon", "k\U0001f511quartz", "two quartzes +/=", "tab\tquartz"),
    *("one\nit's quartz", "~home#x!{brace},^caret"),
]
PROGRAMS = r"""
printf '%q\n' "$S"
echo "${S@Q}"
declare -p S
"$S"
dash -c 'set -x; : "$S" "<$S>"'
"$PYTHON" -c 'import os; raise KeyError({"v": os.environ["S"]}, os.environ["S"])'
set -x
: "$S" "<$S>"
x="<$S>"
"""


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
@pytest.mark.parametrize("secret", AWKWARD)
@pytest.mark.skipif(not BASH or not shutil.which("dash"), reason="no shells")
def test_output_of_real_programs(secret: str, locale: str) -> None:
    env = {"PATH": os.environ["PATH"], "S": secret, "LC_ALL": locale, "PYTHON": sys.executable}
    done = subprocess.run([str(BASH), "-c", PROGRAMS], env=env, capture_output=True, check=False)
    printed = (done.stdout + done.stderr).decode("utf-8", "replace")
    masked = Mask({"S": secret}).apply(done.stdout + done.stderr)[0].decode("utf-8", "replace")
    assert masked.count(MASK.decode()) >= 11, printed
    word = max(re.findall("[a-z0-9]+", secret), key=len)
    assert word in printed
    assert word not in masked, masked


@settings(deadline=None)
@given(secret=SECRETS, before=st.binary(max_size=9), after=st.binary(max_size=9), urlsafe=st.booleans())
def test_base64_of_something_longer(secret: str, before: bytes, after: bytes, urlsafe: bool) -> None:
    """As for `user:secret` in a header: all that depends only on the secret is masked, except at most two characters at its edges."""
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    data = secret.strip().encode()
    masked, names = Mask({"S": secret}).apply(encode(before + data + after))
    assert names == {"S"}
    assert len(masked) - len(MASK) <= len(encode(before + after)) + 4


@settings(deadline=None)
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_text_without_a_secret_is_unchanged(data: bytes, cuts: list[int]) -> None:
    assert streamed(Mask({"S": "zzzz-correct-horse"}), pieces(data, cuts)) == data


def test_base64_in_lines() -> None:
    secret = "".join(chr(33 + number * 7 % 90) for number in range(400)).replace("*", "x")
    whole = base64.b64encode(secret.encode())
    for text in (base64.encodebytes(secret.encode()), b"\n".join(pieces(whole, list(range(64, len(whole), 64))))):
        lines = Mask({"S": secret}).apply(text)[0].split()
        assert set(lines[:-1]) == {MASK}
        assert lines[-1] in {MASK, b"JA=="}, "a last line of a few characters is found everywhere"


def test_the_lines_of_a_key() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhk\nab\n-----END KEY-----"
    masked = Mask({"K": key}).apply(b"1: MIIEvQIBADANBg\n2: kqhk\n3: ab\n  -----END KEY-----\r\n")[0]
    assert masked == b"1: ***\n2: ***\n3: ab\n  ***\r\n", "lines of less than four characters would be found everywhere"
    assert Mask({"K": key}).apply(key.encode() + b"!")[0] == b"***!"


def test_the_password_in_a_url() -> None:
    mask = Mask({"DB_URL": "postgres://flow:g0ose%20feather@db.example.org/rows"})
    assert mask.text("FATAL: password g0ose feather (g0ose%20feather) for flow") == "FATAL: password *** (***) for flow"
    assert mask.text("postgres://flow:g0ose%20feather@db.example.org/rows?x") == "***?x"
    assert Mask({"X": "http://[broken"}).text("http://[broken") == "***"


def test_output_is_held_back_no_longer_than_necessary() -> None:
    stream = MaskedStream(Mask({"S": "swordfish"}))
    assert stream.feed(b"is it sword") == b"is it "
    assert stream.feed(b"y?\nswordfis") == b"swordy?\n"
    assert stream.feed(b"h\n") == b"***\n"
    assert stream.feed(b"s") == b""
    assert stream.end() == b"s"


def test_a_longer_secret_takes_precedence_over_its_prefix() -> None:
    mask = Mask({"A": "pass", "B": "password-two"})
    assert streamed(mask, [b"pass", b"word-", b"two pass", b"word"]) == b"*** ***word"


def test_bytes_that_are_not_text() -> None:
    secret = b"\xff\xfe\x01raw".decode("utf-8", "surrogateescape")
    assert Mask({"S": secret}).apply(b"a\xff\xfe\x01rawb")[0] == b"a***b"
    assert Mask({"S": secret}).text(f"ValueError: {secret}") == "ValueError: ***"
    assert Mask({"S": "xxxx"}).text("lone \ud800 xxxx") == "lone \\ud800 ***"


def test_bytes_that_end_inside_of_a_character() -> None:
    """The remaining bytes may be invalid UTF-8, which must not crash the worker."""
    secret = b"\xa9abcd\xc3".decode("utf-8", "surrogateescape")
    secrets = ExecutionSecrets({"S": secret})
    outcome, notes = secrets.outcome({"outcome": "finished", "value": '"éabcdé"'.encode(), "exit_code": 0})
    assert json.loads(outcome["value"]) == "\ufffd***\ufffd"
    assert len(notes) == 1
    failed, _ = secrets.outcome({"outcome": "failed", "error": "éabcdé and éabcd…"})
    assert "abcd" not in failed["error"].encode("utf-8", "surrogateescape").decode("utf-8", "replace")


@pytest.mark.parametrize("cut", range(4, 100, 7))
def test_a_message_that_was_cut_inside_of_a_secret(cut: int) -> None:
    """flowq cuts long texts in its messages, before they are masked."""
    secret = "".join(chr(97 + number * 11 % 26) for number in range(100))
    mask = Mask({"S": secret})
    assert mask.error(f"line 1 is '{secret[:cut]}…'; expected key=value") == "line 1 is '***…'; expected key=value"
    left_out = f"begin {secret[:cut]}\n… 9 characters left out …\n{secret[cut:]} end"
    assert mask.error(left_out) == f"begin ***\n… 9 characters left out …\n{'***' if 100 - cut >= 4 else secret[cut:]} end"
    assert mask.error("nothing … of the kind …") == "nothing … of the kind …"


def test_results() -> None:
    secrets = ExecutionSecrets({"PIN": "12345678", "TOKEN": 'to"ken\n'})
    value = {"a": ['x to"ken', 12345678, 1.5, None, True], "12345678": {"b": "plain"}}
    outcome, notes = secrets.outcome({"outcome": "finished", "value": json.dumps(value).encode(), "exit_code": 0})
    assert json.loads(outcome["value"]) == {"a": ["x ***", "***", 1.5, None, True], "***": {"b": "plain"}}
    assert [note for note in notes if "PIN" in note or "TOKEN" in note] == notes
    assert len(notes) == 2
    clean = {"outcome": "finished", "value": b'{"a":1e5, "b": [ ]}', "exit_code": 0}
    assert secrets.outcome(clean) == (clean, []), "what has no secret in it stays byte by byte"


def test_cache_reports() -> None:
    """The name of a file may contain a secret, and any bytes."""
    record = json.dumps({"run": "r", "outputs": {"out/swordfish.txt": "0f", "\udcff-\udcfe": "1e"}})
    said = {"hit": False, "reason": "inputs changed: swordfish", "record": record, "digest": "2d"}
    outcome, _ = ExecutionSecrets({"S": "swordfish"}).outcome({"outcome": "finished", "value": b"{}", "cache": said})
    assert outcome["cache"]["reason"] == "inputs changed: ***"
    assert json.loads(outcome["cache"]["record"])["outputs"] == {"out/***.txt": "0f", "\udcff-\udcfe": "1e"}
    assert outcome["cache"]["digest"] == "2d"


def test_execution_secrets_show_names_only() -> None:
    secrets = ExecutionSecrets({"TOKEN": "hunter2hunter2", "PIN": "123"})
    assert repr(secrets) == "ExecutionSecrets(TOKEN, PIN)"
    assert repr(Mask({"TOKEN": "hunter2hunter2"})) == "Mask(['TOKEN'])"
    assert list(secrets.warnings()) == ["the secret PIN has fewer than 4 characters: it is not masked"]


def test_long_lines_are_masked_before_they_are_cut() -> None:
    secret = "0123456789abcdef" * 8
    cutter = OutputBuffer(ExecutionSecrets({"S": secret}).stream())
    data = b"y" * (64 * 1024 - 50) + secret.encode() + b"z" * 70_000
    for start in range(0, len(data), 4096):
        cutter.feed(data[start : start + 4096])
    cutter.end()
    assert b"".join(cutter.take()) == data.replace(secret.encode(), MASK)


def test_a_note_is_on_a_separate_line() -> None:
    cutter = OutputBuffer(ExecutionSecrets({"S": "swordfish"}).stream())
    cutter.feed(b"half a sword")
    cutter.note("hello")
    cutter.feed(b"rest")
    cutter.end()
    cutter.note("and bye")
    assert b"".join(cutter.take()) == b"half a sword\n[flowq: hello]\nrest\n[flowq: and bye]\n"


CODES = [
    *(
        b"\x1b[01;31m\x1b[K",
        b"\x1b[m\x1b[K",
        b"\x1b[38;2;1;2;3m",
        b"\x1b(B\x1b[m",
        b"\x1b]8;;http://x\x1b\\",
        b"\x1b]0;title\x07",
    ),
    *(b"\\x1b[1m", b"\\u001b[0m", b"\\033[31m", b"\x1b[2;3H", b"\x1b7"),
]
_STRIPPED = re.compile(b"|".join(re.escape(code) for code in sorted(CODES, key=len, reverse=True)))


@settings(max_examples=400, deadline=None)
@given(
    secret=st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=SHORTEST, max_size=30),
    name=st.sampled_from(["raw", "base64", "url"]),
    codes=st.lists(st.tuples(st.integers(0, 60), st.sampled_from(CODES)), min_size=1, max_size=6),
    noise=st.tuples(
        st.sampled_from([b"", b" ", b"\n", b"-- ", b"\\", *CODES]),
        st.sampled_from([b"", b" ", b"\x1b", b"\\", b"\x1b]", *CODES]),
    ),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
)
@example(secret="hunter22", name="raw", codes=[(3, CODES[0]), (6, CODES[1])], noise=(b"", b""), cuts=[4, 5, 9, 14])
def test_codes_inside_a_secret_do_not_show_it(
    secret: str, name: str, codes: list[tuple[int, bytes]], noise: tuple[bytes, bytes], cuts: list[int]
) -> None:
    form = ENCODERS[name](secret)
    data = form
    for place, code in sorted(((number % (len(form) + 1), code) for number, code in codes), reverse=True):
        data = data[:place] + code + data[place:]
    whole = noise[0] + data + noise[1]
    mask = Mask({"S": secret})
    masked, names = mask.apply(whole)
    assert names == {"S"}
    assert form not in _STRIPPED.sub(b"", masked)
    assert streamed(mask, pieces(whole, cuts)) == masked
    long = whole + b" " * 5000 + whole
    assert streamed(mask, pieces(long, cuts)) == masked + b" " * 5000 + masked
    assert b"".join(_STRIPPED.findall(masked)) == b"".join(_STRIPPED.findall(whole)), "all codes stay, in their order"


def test_colours_of_grep(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("the password is hunter22-and-more\n")
    done = subprocess.run(["grep", "--color=always", "nter22", "text"], cwd=tmp_path, capture_output=True, check=True)
    assert b"hu\x1b[" in done.stdout
    assert Mask({"S": "hunter22-and"}).apply(done.stdout)[0].startswith(b"the password is ***\x1b[")
    assert b"-more" in Mask({"S": "hunter22-and"}).apply(done.stdout)[0]


def test_a_beginning_with_endless_codes_is_not_held(tmp_path: Path) -> None:
    stream = MaskedStream(Mask({"S": "hunter22"}))
    out = b"".join(stream.feed(b"hunt" + b"\x1b[1m" * 10_000) for _ in range(100))
    assert len(out) > 3_000_000
