"""Unreadable files and files that are not text: each gives one diagnostic with its span."""

import os
from pathlib import Path

import pytest

from flowq.compiler import Code, compile_file, compile_text, render

FLOW = b"jobs:\n  a: {run: echo}\n"


def only(path: Path | str) -> str:
    result = compile_file(path)
    assert result.plan is None
    assert len(result.diagnostics) == 1, result.diagnostics
    return render(result.diagnostics[0])


def test_a_missing_file(tmp_path: Path) -> None:
    assert only(tmp_path / "no.yaml") == f"{tmp_path}/no.yaml:1:1: error[FQ001]: there is no such file\n  help: check the path"


def test_a_missing_file_with_the_other_extension(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_bytes(FLOW)
    assert only(tmp_path / "flow.yml").endswith(f"help: there is {tmp_path}/flow.yaml")


def test_a_directory(tmp_path: Path) -> None:
    assert "error[FQ001]: this is a directory" in only(tmp_path)


def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "error[FQ001]: this is not a regular file" in only(tmp_path / "pipe")


def test_a_name_with_nul() -> None:
    assert "error[FQ001]" in only("a\0b")


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.yaml").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    assert "error[FQ002]: a flow file may have 32 MiB, this one has 100.0 MiB" in only(tmp_path / "big.yaml")


def test_text_over_the_limit() -> None:
    assert compile_text(b"#" * (32 * 1024 * 1024 + 1)).diagnostics[0].code == Code.TOO_LARGE


def test_the_error_for_broken_utf8_names_byte_and_offset() -> None:
    found = compile_text(b"jobs:\n  a: {run: caf\xe9}\n").diagnostics[0]
    assert (found.code, found.line, found.column) == ("FQ003", 2, 15)
    assert found.message == "the file is not UTF-8: byte 0xe9 at offset 20"


@pytest.mark.parametrize("character", ["\0", "\x1b", "\x7f", "\x9b", "\ufffe"])
def test_control_characters_are_refused_and_shown_escaped(character: str) -> None:
    found = compile_text(f"jobs:\n  a: {{run: echo {character}x}}\n").diagnostics[0]
    assert (found.code, found.line, found.column) == ("FQ004", 2, 17)
    assert character not in render(found)


def test_a_byte_order_mark_is_not_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbf" + FLOW)
    result = compile_file(tmp_path / "bom.yaml")
    assert result.plan is not None
    assert (result.plan.name, result.plan.file) == ("bom", f"{tmp_path}/bom.yaml")


def test_windows_line_ends() -> None:
    found = compile_text(b"jobs:\r\n  a: {rn: echo}\r\n").diagnostics[0]
    assert (found.line, found.column, found.text) == (2, 7, "  a: {rn: echo}")


def test_the_input_is_escaped_for_the_terminal() -> None:
    text = 'jobs:\n  "a\\e[31m\\u202e": {run: x, depends_on: ["\\x9b2J"]}\n'
    for item in compile_text(text).diagnostics:
        shown = render(item)
        assert all(character == "\n" or " " <= character < "\x7f" or character > "\xa0" for character in shown)
        assert "\u202e" not in shown


def test_colour_only_adds_escape_sequences() -> None:
    import re

    found = compile_text("jobs: {a: {rn: x}}").diagnostics[0]
    assert re.sub(r"\x1b\[[0-9]*m", "", render(found, color=True)) == render(found)


def test_json_form_has_the_documented_keys() -> None:
    found = compile_text("jobs: {a: {rn: x}}", name="x.yaml").diagnostics[0].to_json()
    assert found == {
        "file": "x.yaml",
        "line": 1,
        "column": 12,
        "code": "FQ101",
        "severity": "error",
        "message": "unknown key `rn`",
        "help": "did you mean run?",
    }
