"""Source text to a checked syntax tree. Jinja2's lexer and parser give the language; what it allows is decided here.

Nothing is computed: a tree is inspected before any code is generated from it, so that an attack written in constants
cannot run at compile time (the stock sandbox folds `"a" * 10**9` while it compiles).
"""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from runner.expression.environment import ENVIRONMENT
from runner.expression.fault import ExpressionFault, refuse
from runner.expression.filters import FILTERS
from runner.expression.lexer import UNEXPECTED, Lexeme, check_lexemes, lex, readable
from runner.expression.limits import INT_MAX, MAX_DEPTH, MAX_NODES, MAX_SOURCE
from runner.expression.predicates import PREDICATES
from runner.expression.tree import Tree, columns

_ALLOWED: frozenset[type[nodes.Node]] = frozenset({
    nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.List, nodes.Dict, nodes.Pair,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
    nodes.Filter, nodes.Test, nodes.Keyword,
})  # fmt: skip
_PATH = re.compile(
    r"(?!(?:.*\.)?(?:and|or|not|in|is|if|else|true|false|none)(?:\.|$))[a-z][A-Za-z0-9_]*(?:\.[a-z][A-Za-z0-9_]*){0,15}"
)
_PYTHON = {"len": "length", "str": "string", "strip": "trim", "size": "length", "json": "tojson", "get": "default"}
_SIGNATURES = {function: inspect.signature(function) for function in (*FILTERS.values(), *PREDICATES.values())}


def parse(source: str) -> Tree:
    """The checked tree of an expression (without the braces)."""
    if len(source) > MAX_SOURCE:
        raise ExpressionFault(f"the expression is longer than {MAX_SOURCE:,} characters", source=source)
    if _PATH.fullmatch(source):
        return _path(source)
    raw = tuple(lex(source))
    lexemes = tuple(lexeme for lexeme in raw if lexeme.kind != "whitespace")
    if not lexemes:
        raise ExpressionFault("the expression is empty", source=source or " ")
    try:
        check_lexemes(lexemes)
        tree = Tree(source, _parse(lexemes), lexemes, {lexeme.column: index for index, lexeme in enumerate(lexemes)})
        _check_nodes(tree)
    except ExpressionFault as fault:
        raise fault.within(source) from None
    return tree


def _path(source: str) -> Tree:
    """The tree of names with dots between them, which most expressions are: the same that the parser makes of it."""
    lexemes: list[Lexeme] = []
    root: nodes.Expr | None = None
    column = 1
    for name in source.split("."):
        if root is None:
            root = nodes.Name(name, "load", lineno=1)
        else:
            lexemes.append(Lexeme(column, "operator", "."))
            root = nodes.Getattr(root, name, "load", lineno=column)
            column += 1
        lexemes.append(Lexeme(column, "name", name))
        column += len(name)
    assert root is not None
    return Tree(source, root, tuple(lexemes), {lexeme.column: index for index, lexeme in enumerate(lexemes)})


def _parse(lexemes: tuple[Lexeme, ...]) -> nodes.Expr:
    column = 1
    try:
        parser = Parser(ENVIRONMENT, "", state="variable")
        tokens = ENVIRONMENT.lexer.wrap((lexeme.column, lexeme.kind, lexeme.text) for lexeme in lexemes)
        parser.stream = TokenStream(tokens, None, None)
        root = parser.parse_expression()
        column = parser.stream.current.lineno
    except TemplateSyntaxError as error:
        raise ExpressionFault(readable(error), column=error.lineno) from None
    except RecursionError:
        raise ExpressionFault("the expression is nested too deeply") from None
    if not parser.stream.eos:
        text = next(lexeme.text for lexeme in lexemes if lexeme.column == column)
        hint = f": {UNEXPECTED[text]}" if text in UNEXPECTED else ""
        refuse(f'unexpected "{text}" after the expression{hint}', column, len(text))
    return root


def _check_nodes(tree: Tree) -> None:
    """Without recursion: the tree of a hostile source may be deeper than Python's stack."""
    waiting: list[tuple[nodes.Node, int]] = [(tree.root, 1)]
    count = 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count > MAX_NODES:
            refuse(f"the expression has more than {MAX_NODES} parts; compute it in steps (set:)", 1)
        if depth > MAX_DEPTH:
            refuse(f"the expression is nested deeper than {MAX_DEPTH}; a list with `in` may replace a chain", 1)
        if isinstance(node, nodes.Test):
            node.lineno = tree.name_of_test(node).column  # Jinja2 puts a test at its `is`
        check = _CHECKS.get(type(node))
        if check is not None:
            check(node)
        elif type(node) not in _ALLOWED:
            refuse(f"{type(node).__name__.lower()} is not allowed in an expression", node.lineno or 1)
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())


def _check_constant(node: nodes.Const) -> None:
    value = node.value
    if type(value) is int and value > INT_MAX:
        refuse("the number does not fit into 64 bits", node.lineno)
    if type(value) is float and not math.isfinite(value):
        refuse("the number is too large", node.lineno)
    if type(value) is str and not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        refuse("half of a surrogate pair is not a character", node.lineno)


def _check_subscript(node: nodes.Getitem) -> None:
    if isinstance(node.arg, nodes.Tuple):
        refuse("one subscript is needed", node.lineno)
    if isinstance(node.arg, nodes.Slice) and node.arg.step is not None:
        refuse("a slice has a start and an end, no step", node.lineno)


def _check_condition(node: nodes.CondExpr) -> None:
    if node.expr2 is None:
        refuse('an inline "if" needs an "else"', min(columns(node)))


def _check_filter(node: nodes.Filter) -> None:
    _check_known("filter", node.name, FILTERS, node.lineno)
    _check_arguments(node.name, FILTERS[node.name], node)
    position = {"select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}.get(node.name)
    if position is None or len(node.args) <= position:
        return
    test = node.args[position]
    if not isinstance(test, nodes.Const) or type(test.value) is not str:
        refuse(f'the test of {node.name} is written as a text, such as "eq"', test.lineno or node.lineno)
    _check_known("test", test.value, PREDICATES, test.lineno)
    try:
        _SIGNATURES[PREDICATES[test.value]].bind(None, *node.args[position + 1 :])
    except TypeError as error:
        refuse(f"the test {test.value}: {_misfit(error)}", test.lineno)


def _check_test(node: nodes.Test) -> None:
    _check_known("test", node.name, PREDICATES, node.lineno)
    _check_arguments(node.name, PREDICATES[node.name], node)


def _check_known(what: str, name: str, known: Iterable[str], column: int) -> None:
    names = sorted(known)
    if name in names:
        return
    close = [_PYTHON[name]] if name in _PYTHON else difflib.get_close_matches(name.lower(), names, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"there are: {', '.join(names)}"
    refuse(f'there is no {what} "{name[:40]}"; {hint}', column, len(name))


def _check_arguments(name: str, function: Callable[..., Any], node: nodes.Filter | nodes.Test) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        refuse(f"{name}: * and ** are not allowed in arguments", node.lineno, len(name))
    named: dict[str, nodes.Node] = {str(keyword.key): keyword.value for keyword in node.kwargs}
    try:
        if len(named) < len(node.kwargs):
            raise TypeError("an argument is given twice")
        _SIGNATURES[function].bind(None, *node.args, **named)
    except TypeError as error:
        takes = ", ".join(list(_SIGNATURES[function].parameters)[1:]) or "no arguments"
        given = node.args[0] if node.args else None
        if name == "map" and isinstance(given, nodes.Const) and given.value not in FILTERS:
            takes = f"{takes}: write map(attribute={given.value!r})"
        refuse(f"{name}: {_misfit(error)}; it takes {takes}", node.lineno, len(name))


def _misfit(error: TypeError) -> str:
    """In one wording: newer versions of Python also say of a missing argument that it is a keyword-only one."""
    return str(error).replace("required keyword-only argument", "required argument")


_CLOCKS = ("now", "today", "utcnow", "timestamp", "time")


def _refuse_call(node: nodes.Call) -> None:
    called = node.node
    name = called.attr if isinstance(called, nodes.Getattr) else called.name if isinstance(called, nodes.Name) else ""
    name = _PYTHON.get(name, name)
    hint = f'; there is a filter: "| {name}"' if name in FILTERS else ""
    hint = "; the time is not known here: run.started_at is when the run began" if name in _CLOCKS else hint
    refuse(f"nothing can be called in an expression{hint}", node.lineno)


def _refuse_tuple(node: nodes.Tuple) -> None:
    refuse("there are no tuples: write a list, [a, b]", min(columns(node)))


_CHECKS: Mapping[type[nodes.Node], Callable[[Any], None]] = {
    nodes.Const: _check_constant,
    nodes.Getitem: _check_subscript,
    nodes.CondExpr: _check_condition,
    nodes.Filter: _check_filter,
    nodes.Test: _check_test,
    nodes.Call: _refuse_call,
    nodes.Tuple: _refuse_tuple,
}
