"""`$FLOWQ_OUTPUT`: its three forms of lines, and errors that name the line."""

import pytest

from flowq.worker.horse.output_file import OutputError, parse


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", {}),
        (b"\n\n", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1\nb=x=y\na=2\n", {"a": "2", "b": "x=y"}),
        (b"path=out/r\xc3\xa9port.pdf\r\n", {"path": "out/réport.pdf"}),
        (b"empty=\n", {"empty": ""}),
        (b"text<<END\none\n\ntwo=2\nEND\nb=1\n", {"text": "one\n\ntwo=2", "b": "1"}),
        (b"text<<END\nEND\n", {"text": ""}),
        (b"shift=1<<2\n", {"shift": "1<<2"}),
        (b"a.b-c_9=1\n_x=2\n", {"a.b-c_9": "1", "_x": "2"}),
        (b'{"my key": 1, "\\u0000": 2}\n', {"my key": 1, "\0": 2}),
        (b'{"n": 1, "l": [1, null], "t": true}\nn=2\n', {"n": "2", "l": [1, None], "t": True}),
    ],
)
def test_forms(data: bytes, expected: dict[str, object]) -> None:
    assert parse(data) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a=1\njust words\n", "line 2 .* 'just words'; expected key=value"),
        (b"=1\n", "line 1 .* no key"),
        (b"a=1\n\nt<<EOF\nx\n", "line 3 .* not ended: no line is exactly 'EOF'"),
        (b"t<<\nx\n", "line 1 .* word that ends the block is missing"),
        (b'ok=1\n{"a": }\n', "line 2 .* JSON object but is none"),
        (b'{"a": NaN}\n', "line 1 .* NaN is not JSON"),
        (b"a=1\nb=\xff\n", "line 2 .* not UTF-8"),
        (b"a=1\nexport A=1\n", "line 2 .*'export A' cannot be a key: letters, digits"),
        (b"my key=1\n", "line 1 .*'my key' cannot be a key"),
        (b"key: val=1\n", "line 1 .*'key: val' cannot be a key"),
        (b"a=1\n1a=1\n", "line 2 .*'1a' cannot be a key"),
        (b".a=1\n", "line 1 .*'.a' cannot be a key"),
        ("\u00e9t\u00e9=1\n".encode(), "line 1 .* cannot be a key"),
        (b'"a"=1\n', "line 1 .* cannot be a key"),
        (b"a b<<END\nx\nEND\n", "line 1 .*'a b' cannot be a key"),
        (b"a\0=1\n", "line 1 .* NUL"),
        (b"a=1\nb=x\0y\n", "line 2 .* NUL"),
        (b"t<<END\nx\ny\0\nEND\n", "line 3 .* NUL"),
        (b"a=1\n\0\0\n", "line 2 .* NUL"),
    ],
)
def test_errors_name_the_line(data: bytes, message: str) -> None:
    with pytest.raises(OutputError, match=message):
        parse(data)


def test_deep_json_is_an_error_not_a_crash() -> None:
    with pytest.raises(OutputError, match=r"line 1 .* nested too deeply"):
        parse(b'{"a":' + b"[" * 100_000)
