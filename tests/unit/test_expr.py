"""The expression language: values, errors with positions, references, types, limits, templates."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowq.expr import (
    EvalError,
    Expression,
    ExprSyntaxError,
    Hole,
    evaluate,
    join_holes,
    literal,
    parse,
    render,
    split_template,
    to_text,
)
from flowq.expr.functions import FUNCTIONS
from flowq.expr.types import ANY, BOOLEAN, MAP, NUMBER, STRING, Type, infer, type_of

SCOPE: dict[str, Any] = {
    "params": {"day": "2026-01-31", "n": 3, "full": True, "tags": ["a", "b"], "none": None, "map": {"a b": 1, "x": {"y": 2}}},
    "jobs": {
        "list-files": {"result": [{"path": "a"}, None, {"path": "b"}], "status": "finished"},
        "no": {"result": None, "status": "skipped"},
        "1.x": {"result": 7, "status": "finished"},
    },
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("params.n", 3), ("params['n']", 3), ('params["map"]["a b"]', 1), ("params.map.x.y", 2), ("params.tags[0]", "a"), ("params.tags[-1]", "b"),
        ("jobs.list-files.result[*].path", ["a", None, "b"]), ("jobs['1.x'].result", 7), ("jobs.list-files.result[2].path", "b"),
        ("null", None), ("true", True), ("-1.5e2", -150.0), ("'it\\'s'", "it's"), ('"\\u00e9\\n"', "é\n"), ("[1, [2], {a: 3, 'b c': 4}]", [1, [2], {"a": 3, "b c": 4}]),
        ("1 == 1.0", True), ("1 == true", False), ("'1' == 1", False), ("[1, {a: true}] == [1.0, {a: true}]", True), ("[1] == [true]", False), ("null == null", True),
        ("params.n > 2 && params.full", True), ("!(params.n > 2) || false", False), ("'b' in params.tags", True), ("'x' in params.map", True), ("'01' in params.day", True),
        ("params.n < 5 ? 'few' : 'many'", "few"), ("true ? false ? 1 : 2 : 3", 2), ("params.none ?? 5", 5), ("params.missing ?? 5", 5),
        ("params.missing.deeper ?? params.also ?? 'x'", "x"), ("jobs.no.result.x ?? 'none'", "none"), ("jobs.no.result == null", True), ("params.missing == null", True),
        ("params.missing != null", False), ("false && params.missing", False), ("true || params.missing", True), ("'a' < 'b'", True),
        ("len('é☃')", 2), ("len(params.tags)", 2), ("len(params.map)", 2), ("contains(params.tags, 'a')", True), ("contains('abc', 'bc')", True),
        ("starts_with(params.day, '2026')", True), ("ends_with(params.day, '30')", False), ("join([1, 'a', null, [true]])", "1,a,null,[true]"), ("join([], '-')", ""),
        ("split('a,b,,c', ',')", ["a", "b", "", "c"]), ("lower('AbÉ')", "abé"), ("upper('a')", "A"), ("trim('  a ')", "a"),
        ("to_json({a: [1, 'é']})", '{"a":[1,"é"]}'), ("from_json('{\"a\": [1]}').a[0]", 1), ("keys(params.map)", ["a b", "x"]), ("values({a: 1})", [1]),
        ("min(3, 1, 2)", 1), ("min([]) ?? 7", 7), ("date_add('2026-01-31', -86400)", "2026-01-30"), ("max(['a', 'b'])", "b"), ("sum([1, 2.5])", 3.5), ("range(3)", [0, 1, 2]), ("range(5, 1, -2)", [5, 3]), ("range(0)", []),
        ("format('{0} of {1}, {{{0}}}', 1, 'two')", "1 of two, {1}"), ("date_add('2026-01-31', '1d')", "2026-02-01"), ("date_add('2026-03-01', '-1d')", "2026-02-28"),
        ("date_add('2026-01-31T23:30:00+00:00', '90m')", "2026-02-01T01:00:00+00:00"), ("(1)", 1), ("[1,]", [1]),
    ],
)  # fmt: skip
def test_values(source: str, value: object) -> None:
    found = evaluate(source, SCOPE)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("params.missing", "params.missing: there is no 'missing'"), ("params.dya", "did you mean 'day'?"), ("nope", "unknown name nope"), ("params.tags[5]", "the list has 2 items"),
        ("params.n.x", "only lists and maps have parts, this is a number"), ("params.none.x", "null has no parts"), ("params.tags['a']", "only lists and maps" and "a list is indexed with a whole number"),
        ("params.n[*]", "[*] needs a list, this is a number"), ("params.n && true", "&& needs a boolean, this is a number"), ("!'x'", "! needs a boolean"),
        ("params.n < 'a'", "found number and string"), ("true < false", "compares two numbers or two strings"), ("1 in 2", "`in` looks into"), ("1 in 'a'", "look for a string"),
        ("len(5)", "len() needs a string or list or map"), ("len()", "takes 1 argument, found 0"), ("foo(1)", "there is no function foo()"), ("from_json('{')", "not JSON"),
        ("from_json('NaN')", "not JSON"),
        ("from_json('\"\\\\ud800\"')", "not JSON"), ("min([])", "empty list"), ("max([1, 'a'])", "only numbers or only strings"), ("sum(['a'])", "list of numbers"), ("range(1, 2, 0)", "step"),
        ("range(100000000)", "100,000 items"), ("range(9999999999999999999)", "100,000 items"), ("format('{1}', 'a')", "only 1 value"), ("format('{')", "single {"),
        ("date_add('x', '1d')", "cannot add"), ("date_add('2026-01-31', '1h')", "whole days"), ("split('a', '')", "separator"), ("params.__class__", "there is no '__class__'"),
        ("params.day.upper", "only lists and maps have parts"), ("''.__class__", "only lists and maps"), ("true ? params.zz : 1", "there is no 'zz'"), ("'x' ? 1 : 2", "? : needs a boolean"),
    ],
)  # fmt: skip
def test_no_value(source: str, message: str) -> None:
    with pytest.raises(EvalError) as caught:
        evaluate(source, SCOPE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "start", "message"),
    [
        ("", 0, "empty"), ("a b", 2, "expected an operator"), ("a.", 1, "name after the dot"), ("1 + 1", 2, "unexpected character '+'"), ("a = 1", 2, "unexpected character '='"),
        ("'abc", 0, "not closed"), ("(a", 1, "expected `)`"), ("[1 2]", 3, "expected `,` or `]`"), ("{a 1}", 3, "expected `:`"), ("a < b < c", 6, "do not chain"), ("a ? b", 4, "expected `:`"),
        ("not a", 0, "expected a value, found not"), ("a and b", 2, "found and"), ("len(a", 4, "expected `,`"), ("'\\q'", 1, "unknown escape"), ("99999999999999999999", 0, "19 digits"),
        ("1e999", 0, "too large"),
        ("'\\ud800'", 0, "half of a"), ("a[*][*]", 5, "once"), ("{a: 1, a: 2}", 0, "duplicate key"), ("a\x00", 1, "unexpected character"), ("${{ a }}", 0, "unexpected character '$'"),
        ("a - b", 2, "expected an operator"), ("-a", 1, "a number after"), ("(" * 60, 50, "50 levels"), ("!" * 60 + "a", 49, "50 levels"), (" && ".join(["a"] * 200), 0, "120 operations"),
        (".".join(["a"] * 70), 0, "50 parts"), ("a" * 10_001, 0, "10000 characters"), ("[" + "1," * 600 + "]", 0, "1000 parts"),
    ],
)  # fmt: skip
def test_syntax_errors_have_a_position(source: str, start: int, message: str) -> None:
    with pytest.raises(ExprSyntaxError) as caught:
        parse(source)
    assert message in caught.value.message
    assert caught.value.start == start
    assert caught.value.start <= caught.value.end <= max(len(source), 1)


def test_references() -> None:
    found = parse(
        "jobs.list-files.result[0].x == params['a b'] && f[params.i].y ?? (env.X ?? jobs.b.result[*].z) && run.id == null"
    ).references()
    assert [(item.path, item.guarded) for item in found] == [
        (("jobs", "list-files", "result", 0, "x"), False),
        (("params", "a b"), False),
        (("f",), False),
        (("params", "i"), False),
        (("env", "X"), True),
        (("jobs", "b", "result"), False),
        (("run", "id"), True),
    ]
    expression = parse("  jobs.a.result ?? 0")
    (only,) = expression.references()
    assert expression.source[only.start : only.end] == "jobs.a.result"
    assert only.guarded


def test_types_give_no_false_errors() -> None:
    """An expression that evaluates must not have a type error."""
    scope = {name: type_of(value) for name, value in SCOPE.items()}
    for source in (
        "params.n > 2 && params.full",
        "len(params.tags) == 2",
        "params.none ?? 5",
        "'x' in params.map",
        "join(jobs.list-files.result[*].path)",
    ):
        assert infer(parse(source), scope)[1] == [], source


def test_expressions_that_fail_for_all_values() -> None:
    scope = {
        "s": STRING, "n": NUMBER, "x": ANY, "b": BOOLEAN, "names": Type("list", STRING), "m": MAP,
        "status": Type("string", values=("finished", "failed"), meant={"success": "finished"}),
    }  # fmt: skip
    wrong = {
        "min(1, 'a')": "min(1, 'a')", "max(n, s)": "max(n, s)", "min(b)": "b", "max(x, m)": "m", "min([m])": "[m]", "sum(names)": "names",
        "split(s, ',')[0] == 1": "split(s, ',')[0] == 1", "keys(m)[0] < 1": "keys(m)[0] < 1", "'a' in s && range(n)[0] == 'a'": "range(n)[0] == 'a'",
        "values({a: 1})[0] == 'x'": "values({a: 1})[0] == 'x'", "max(names) == 1": "max(names) == 1", "split(s, '')": "split(s, '')",
        "format('{1}', s)": "format('{1}', s)", "len(format('{', x)) > 1": "format('{', x)", "date_add(s, '1x')": "date_add(s, '1x')",
        "date_add('x', s)": "date_add('x', s)", "range(1.5)": "range(1.5)", "from_json('{') ?? 1": "from_json('{')",
        "status == 'success'": "'success'", "'x' != status": "'x'", "status in ['finished', 'done']": "'done'", "x ? 1 : status == 'a'": "'a'",
    }  # fmt: skip
    for source, place in wrong.items():
        _, problems = infer(parse(source), scope)
        assert [source[problem.start : problem.end] for problem in problems] == [place], source


def test_expressions_that_work_for_some_values() -> None:
    scope = {"s": STRING, "n": NUMBER, "x": ANY, "names": Type("list", STRING), "m": MAP, "status": Type("string", values=("a", "b"))}  # fmt: skip
    for source in (
        "min(x) == 'a'", "min([]) ?? 0", "max(n, x) == 1", "max(names) < 'b'", "sum([x, 1]) > 1", "sum([])", "format(s, 1)", "format('{0}{1}', x, n)", "split(s, s)",
        "date_add(s, s)", "date_add(s, -1)", "date_add('2026-01-31', x)", "range(n, 3)", "from_json(s).x", "values(m)[0].x", "status == s", "status != 'a'", "status in ['a', s]",
        "status in names", "status == x", "status == null", "keys(m)[0] == 'x'", "range(n)[0] == 1",
    ):  # fmt: skip
        assert infer(parse(source), scope)[1] == [], source


def test_types_of_results() -> None:
    scope = {name: type_of(value) for name, value in SCOPE.items()}
    kinds = {
        "params.n == 3": "boolean", "params.day": "string", "params.tags": "list", "params.tags[0]": "string", "true ? 1 : 2": "number", "true ? 1 : 'a'": "any",
        "len('a')": "number", "params.map.x": "map", "unknown.x": "any", "params.none ?? 'a'": "string", "[1, 2][0]": "number", "{a: true}.a": "boolean",
    }  # fmt: skip
    assert {source: infer(parse(source), scope)[0].kind for source in kinds} == kinds


def outcome(source: str, scope: dict[str, Any]) -> str:
    try:
        evaluate(source, scope)
    except EvalError as error:
        return "nested too deeply" if "nested too deeply" in str(error) else str(error)
    return "value"


def test_budgets() -> None:
    scope = {"big": ["x" * 1000] * 10_000, "deep": json.loads("[" * 900 + "]" * 900), "brackets": "[" * 5000 + "]" * 5000}
    start = time.process_time()
    for source in (
        "join([join(big), join(big)])",
        "format('{0}{0}{0}{0}{0}{0}{0}{0}{0}{0}', join(big, ''))",
        "[" + ",".join(["range(99999)[*]"] * 30) + "]",
    ):
        with pytest.raises(EvalError):
            evaluate(source, scope)
    for source in ("deep == deep", "to_json(deep)", "from_json(brackets)", "to_json(from_json(brackets))"):
        assert outcome(source, scope) in {"value", "nested too deeply"}
    assert time.process_time() - start < 5


def test_values_with_repeated_parts() -> None:
    scope = {"rows": [{"text": "x" * 1000}] * 500, "text": "x" * 1_000_000, "short": ["abcdefgh"] * 100_000}
    for source in (
        "[" + ",".join(["rows"] * 40) + "]",
        "{a: [" + ",".join(["[rows[*].text, rows[*].text]"] * 20) + "]}",
        "true ? [" + ",".join(["text"] * 12) + "] : null",
        "to_json([" + ",".join(["rows"] * 40) + "])",
        "[" + ",".join(["short"] * 20) + "]",
        "[" + ",".join(["range(90000)"] * 20) + "]",
        "[" + ",".join(["lower(text)"] * 20) + "]",
        "[" + ",".join(["from_json(to_json(short))"] * 20) + "]",
    ):
        assert outcome(source, scope) != "value", source
    for source in ("rows", "[rows, rows]", "[text, text]", "rows ?? []", "[short, len(short)]", "[range(99999), range(99999)]"):
        assert outcome(source, scope) == "value", source


def test_a_string_of_many_expressions_has_a_limit() -> None:
    value = {"$join": [{"$": "text"}] * 9}
    assert len(render(value, {"text": "x" * 100_000})) == 900_000
    with pytest.raises(EvalError, match="a string give more than"):
        render(value, {"text": "x" * 1_000_000})


def parsed(source: str) -> Expression | ExprSyntaxError:
    try:
        return parse(source)
    except ExprSyntaxError as error:
        return error


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="ab.[]*(){}'\",:?!&|<>= 019-\\nulen", max_size=60))
def test_any_text_parses_or_has_an_error(source: str) -> None:
    expression = parsed(source)
    if isinstance(expression, ExprSyntaxError):
        assert 0 <= expression.start <= expression.end <= max(len(source), 1)
        return
    expression.references()
    kind, problems = infer(expression, {"a": type_of({"b": [1]})})
    try:
        value = evaluate(expression, {"a": {"b": [1]}, "b": 1, "n": None})
    except EvalError:
        return
    if not problems and kind.kind != "any":
        assert type_of(value).kind == kind.kind


def test_every_function_has_a_usage_that_begins_with_its_name() -> None:
    for name, signature in FUNCTIONS.items():
        assert signature.usage.startswith(f"{name}(")
        assert signature.required <= len(signature.parameters)


def test_to_text() -> None:
    assert [to_text(value) for value in ("a", None, True, 1, 1.5, [1, "a"], {"a": None})] == [
        "a",
        "null",
        "true",
        "1",
        "1.5",
        '[1,"a"]',
        '{"a":null}',
    ]


def test_templates() -> None:
    parts = split_template("a ${{ params.n }}-${{ {a: {b: '}}'}}.a.b }}")
    assert parts == ["a ", Hole("params.n", 6, 2, 17), "-", Hole("{a: {b: '}}'}}.a.b", 22, 18, 43)]
    assert render(join_holes(parts), SCOPE) == "a 3-}}"
    assert render(join_holes(split_template("${{ params.tags }}")), SCOPE) == ["a", "b"]
    assert join_holes(split_template("plain }} {{ $x")) == "plain }} {{ $x"


def test_the_error_for_an_unclosed_hole_has_a_position() -> None:
    with pytest.raises(ExprSyntaxError) as caught:
        split_template("a ${{ params.n } b")
    assert caught.value.start == 2


def test_an_expression_that_is_far_too_long_is_told_the_limit() -> None:
    with pytest.raises(ExprSyntaxError) as caught:
        split_template(f"${{{{ {'1,' * 20_000} }}}}")
    assert "an expression may have 10000 characters" in caught.value.help


def test_maps_with_dollar_keys_are_unchanged() -> None:
    value = {
        "list": [{"$": "params.n"}, literal({"$ref": "x", "$": {"$": "params.n"}})],
        "k": {"$join": ["a", {"$": "params.n"}]},
    }
    assert render(value, SCOPE) == {"list": [3, {"$ref": "x", "$": 3}], "k": "a3"}
