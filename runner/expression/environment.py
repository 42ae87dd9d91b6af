"""The one Jinja2 environment: hardened twice, so that a hole in one wall is not a hole in the house.

The first wall is `lowering`: it turns every operator, filter, test and look-up into a call of a guarded operation of
this table, and every path into a variable that was read without Jinja2. The second wall is here: whatever would still
reach Python's own arithmetic, attributes, items or calls through generated code is refused. There are no globals, no
tests and no filters but the operations, and no optimizer: it would compute constants while compiling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from jinja2 import StrictUndefined, nodes
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.expression.fault import ExpressionFault, Misuse
from runner.expression.filters import FILTERS
from runner.expression.operators import OPERATORS
from runner.expression.paths import Absent
from runner.expression.predicates import PREDICATES, TOLERANT

Operation = Callable[..., Any]
_RESULT = "computed"


class HardenedEnvironment(ImmutableSandboxedEnvironment):
    """Refuses at run time what no lowered expression does."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)
    intercepted_unops = frozenset(ImmutableSandboxedEnvironment.default_unop_table)

    def call_binop(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise SecurityError("an operator was not lowered")

    def call_unop(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise SecurityError("an operator was not lowered")

    def getattr(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise SecurityError("an attribute was not lowered")

    def getitem(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise SecurityError("a subscript was not lowered")

    def call(self, *_arguments: Any, **_named: Any) -> NoReturn:
        raise SecurityError("nothing can be called in an expression")


def test_operation(name: str) -> str:
    """The operation of a test; no filter can have this name."""
    return f"is {name}"


def _guarded(function: Callable[..., Any], width: int, *, takes_absent: bool) -> Operation:
    """The operation as generated code calls it: with its column, and its arguments as the author wrote them."""

    def operation(value: Any, column: int, *arguments: Any, **named: Any) -> Any:
        if not takes_absent:
            for argument in (value, *arguments, *named.values()):
                if type(argument) is Absent:
                    raise argument.fault()
        try:
            result = function(value, *arguments, **named)
        except Misuse as misuse:
            raise ExpressionFault(str(misuse), column=column, length=width) from None
        except ArithmeticError as error:
            raise ExpressionFault(f"this cannot be computed: {error}", column=column, length=width) from None
        except RecursionError:
            raise ExpressionFault("the value is nested too deeply", column=column, length=width) from None
        if type(result) is Absent and not result.column:
            return Absent(result.path, result.reason, column, width)
        return result

    return operation


def _operations() -> dict[str, Operation]:
    operations = {name: _guarded(function, 1, takes_absent=name == "item") for name, function in OPERATORS.items()}
    for name, function in FILTERS.items():
        operations[name] = _guarded(function, len(name), takes_absent=name in ("default", "d"))
    for name, function in PREDICATES.items():
        operations[test_operation(name)] = _guarded(function, len(name), takes_absent=name in TOLERANT)
    return operations


def _environment() -> HardenedEnvironment:
    environment = HardenedEnvironment(optimized=False, undefined=StrictUndefined, autoescape=False, cache_size=0)
    environment.globals.clear()
    environment.tests.clear()
    environment.filters.clear()
    environment.filters.update(_operations())
    return environment


ENVIRONMENT: Final = _environment()


def generate(expression: nodes.Expr) -> Callable[[Mapping[str, Any]], Any]:
    """A lowered expression as a function of its variables. The result may be an Absent.

    It is assigned and not output: Jinja2 computes the constants of an output while compiling, optimizer or not.
    """
    assignment = nodes.Assign(nodes.Name(_RESULT, "store"), expression, lineno=1)
    tree = nodes.Template([assignment], lineno=1)
    tree.set_environment(ENVIRONMENT)
    template = ENVIRONMENT.from_string(tree)

    def compute(variables: Mapping[str, Any]) -> Any:
        context = template.new_context(dict(variables))
        for _text in template.root_render_func(context):
            pass  # an assignment gives no text; running to the end is what assigns
        return context.vars[_RESULT]

    return compute
