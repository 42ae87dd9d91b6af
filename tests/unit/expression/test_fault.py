"""A fault says what and where, and quotes no values."""

from __future__ import annotations

from runner.errors import ExpressionError
from runner.expression.evaluate import compile_expression
from runner.expression.fault import ExpressionFault


def test_a_fault_is_an_expression_error():
    assert issubclass(ExpressionFault, ExpressionError)


def test_the_text_of_a_fault_names_pointer_column_and_source():
    fault = ExpressionFault("no", source="input.x", column=7, pointer="/amount")
    assert str(fault) == "/amount: no (column 7 of `input.x`)"


def test_a_fault_without_a_source_is_its_message():
    assert str(ExpressionFault("no")) == "no"


def test_a_long_source_is_cut_in_the_text_and_whole_in_the_attribute():
    fault = ExpressionFault("no", source="x" * 200)
    assert "x" * 79 + "…`" in str(fault)
    assert fault.source == "x" * 200


def test_offsets_add_up_when_a_fault_is_placed_twice():
    fault = ExpressionFault("no", source="x").at("", 3).at("/a", 0)
    assert (fault.pointer, fault.offset) == ("/a", 3)


def test_no_fault_shows_a_value_of_the_scope():
    scope = {"input": {"token": "s3cret", "list": ["s3cret"], "map": {"k": "s3cret"}}}
    sources = (
        "input.token + 1",
        "input.token.x",
        "input.token | int",
        "-input.token",
        "input.list | sum",
        "input.list ~ 'a'",
        "input.map ~ 'a'",
        "input.token % 2",
        "input.list | sort(attribute='x')",
        "input.token is odd",
        "1 in input.token",
    )
    texts = []
    for source in sources:
        try:
            compile_expression(source).evaluate(scope)
        except ExpressionFault as fault:
            texts.append(str(fault))
    assert len(texts) == len(sources)
    assert [text for text in texts if "s3cret" in text] == []
