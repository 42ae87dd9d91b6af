"""The contract that a signature makes: what is let in, what is let out, and what can be no worker at all."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import math
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from runner.errors import ConfigError
from runner.worker.contract import Contract
from runner.worker.payload import MAX_PAYLOAD_BYTES, describe

if TYPE_CHECKING:
    import fractions

from runner.worker.context import Context
from runner.worker.verdict import Landed, NotLanded, Pending


class Line(BaseModel):
    sku: str
    quantity: int = Field(gt=0)


@dataclasses.dataclass
class Address:
    city: str
    zip: str = ""


class Customer(TypedDict):
    id: str


class Speed(Enum):
    FAST = "fast"


class Priced(BaseModel):
    price_of: Decimal = Field(alias="priceOf")


def read(function: Any, **arguments: Any) -> dict[str, Any]:
    values, problems = Contract(function).read(json.dumps(arguments).encode())
    assert problems == ()
    return values


def refused(function: Any, payload: bytes) -> str:
    values, problems = Contract(function).read(payload)
    assert values == {}
    return describe(problems)


def test_arguments_become_what_their_annotations_say():
    def f(
        line: Line, to: Address, who: Customer, price: Decimal, at: datetime.datetime, speed: Speed, either: int | str
    ) -> None: ...

    given = {"line": {"sku": "a", "quantity": 1}, "to": {"city": "Ulm"}, "who": {"id": "c"}, "price": "1.50"}
    values = read(f, **given, at="2024-05-01T00:00:00Z", speed="fast", either="x")
    assert values == {
        "line": Line(sku="a", quantity=1),
        "to": Address("Ulm"),
        "who": {"id": "c"},
        "price": Decimal("1.50"),
        "at": datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC),
        "speed": Speed.FAST,
        "either": "x",
    }


def test_an_argument_that_is_left_out_keeps_the_functions_default():
    def f(amount: int, note: str = "none") -> None: ...

    assert read(f, amount=1) == {"amount": 1}


def test_an_argument_without_annotation_takes_anything():
    def f(value): ...

    assert read(f, value=[1, {"a": None}]) == {"value": [1, {"a": None}]}


def test_names_that_a_model_would_reserve_are_ordinary_arguments():
    def f(schema: int, copy: int, model_config: int, _private: int, json: int) -> None: ...

    given = {"schema": 1, "copy": 2, "model_config": 3, "_private": 4, "json": 5}
    assert read(f, **given) == given


def test_all_problems_are_told_at_once_with_their_paths():
    def f(items: list[Line], amount: int) -> None: ...

    problem = refused(f, b'{"items": [{"sku": "a", "quantity": 0}, {"quantity": 1}], "amuont": 3}')
    assert problem == (
        "items[0].quantity: Input should be greater than 0; items[1].sku: Field required; "
        "amount: Field required; amuont: Extra inputs are not permitted"
    )


def test_a_problem_does_not_repeat_the_value():
    def f(token: int) -> None: ...

    assert "4111" not in refused(f, b'{"token": "4111-1111"}')


def test_endless_problems_are_cut_short():
    def f(items: list[int]) -> None: ...

    _, problems = Contract(f).read(json.dumps({"items": ["x"] * 200}).encode())
    assert len(problems) == 51
    assert problems[-1]["message"] == "and 150 more"


def test_a_nested_value_may_have_more_than_is_read():
    def f(to: Address, who: Customer) -> None: ...

    given = {"to": {"city": "Ulm", "floor": 3}, "who": {"id": "c", "vip": True}}
    assert read(f, **given) == {"to": Address("Ulm"), "who": {"id": "c"}}


def test_keyword_arguments_take_the_rest_and_are_checked():
    def f(first: int, **rest: int) -> None: ...

    assert read(f, first=1, second=2) == {"first": 1, "second": 2}
    assert refused(f, b'{"first": 1, "second": "x"}').startswith("second: ")


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{", b"null", b'{"a": 1} x', b"[" * 5000, b'{"a": "\xff"}'])
def test_what_is_no_json_object_is_refused(payload: bytes):
    def f(a: Any) -> None: ...

    assert refused(f, payload)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_json_is_refused(constant: str):
    def f(a: Any) -> None: ...

    assert "is no number in JSON" in refused(f, b'{"a": %s}' % constant.encode())
    assert Contract(f).read(b'{"a": "%s"}' % constant.encode()) == ({"a": constant}, ())


def test_an_input_of_a_mebibyte_is_taken_and_one_byte_more_refused():
    def f(a: str) -> None: ...

    room = MAX_PAYLOAD_BYTES - len(b'{"a":""}')
    assert Contract(f).read(b'{"a":"' + b"x" * room + b'"}')[1] == ()
    assert "at most 1,048,576" in refused(f, b'{"a":"' + b"x" * (room + 1) + b'"}')


def test_the_context_is_found_by_its_annotation_wherever_it_stands():
    def first(ctx: Context, a: int) -> None: ...
    def last(a: int, *, context: Context) -> None: ...
    def maybe(a: int, c: Context | None = None) -> None: ...
    def none(a: int) -> None: ...

    assert [Contract(f).context_name for f in (first, last, maybe, none)] == ["ctx", "context", "c", None]
    assert all(list(Contract(f).input_schema["properties"]) == ["a"] for f in (first, last, maybe, none))


def test_the_context_may_be_imported_for_type_checkers_only():
    namespace: dict[str, Any] = {}
    exec("from __future__ import annotations\ndef f(ctx: Context, a: int) -> None: ...", namespace)
    assert Contract(namespace["f"]).context_name == "ctx"


def test_an_unannotated_ctx_is_not_taken_for_an_argument():
    def f(ctx, a: int): ...

    with pytest.raises(ConfigError, match="write `ctx: Context`"):
        Contract(f)


def test_two_contexts_are_one_too_many():
    def f(a: Context, b: Context) -> None: ...

    with pytest.raises(ConfigError, match="a and b are both annotated Context"):
        Contract(f)


def test_an_annotation_that_is_not_known_is_named():
    def f(a: fractions.Fraction) -> None: ...

    with pytest.raises(ConfigError, match="'fractions' is not known at run time"):
        Contract(f)


def test_an_annotation_that_cannot_be_validated_is_explained():
    def f(a: threading_lock) -> None: ...  # noqa: F821

    f.__annotations__["a"] = type("Opaque", (), {})
    with pytest.raises(ConfigError, match="cannot be validated"):
        Contract(f)


def test_arguments_that_cannot_be_named_are_refused():
    def positional(a: int, /) -> None: ...
    def rest(*a: int) -> None: ...

    for function in (positional, rest):
        with pytest.raises(ConfigError, match="cannot be given by name"):
            Contract(function)


def test_a_wrapped_function_keeps_its_contract():
    def f(ctx: Context, a: int) -> int:
        return a + ctx.attempt

    @functools.wraps(f)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return f(*arguments, **options)

    contract = Contract(wrapper)
    assert contract.context_name == "ctx"
    assert contract.read(b'{"a": 1}') == ({"a": 1}, ())


def test_coroutine_functions_are_told_apart():
    async def f() -> None: ...

    class Callable:
        async def __call__(self) -> None: ...

    assert Contract(f).is_async
    assert Contract(Callable()).is_async
    assert Contract(functools.partial(f)).is_async
    assert not Contract(lambda: None).is_async


def returning(annotation: Any) -> Contract:
    def f() -> None: ...

    f.__annotations__["return"] = annotation
    return Contract(f)


@pytest.mark.parametrize(
    ("annotation", "result", "written"),
    [
        (None, None, b"null"),
        (int, 3, b"3"),
        (Line, Line(sku="a", quantity=1), b'{"sku":"a","quantity":1}'),
        (Line, {"sku": "a", "quantity": 1}, b'{"sku":"a","quantity":1}'),
        (list[Address], [Address("Ulm")], b'[{"city":"Ulm","zip":""}]'),
        (Decimal, Decimal("1.50"), b'"1.50"'),
        (Priced, Priced(priceOf=Decimal(2)), b'{"priceOf":"2"}'),
        (datetime.date, datetime.date(2024, 5, 1), b'"2024-05-01"'),
        (dict[str, Any], {"ä": None}, '{"ä":null}'.encode()),
        (set[int], {1}, b"[1]"),
        (Any, {"a": [1, 2.5, True]}, b'{"a":[1,2.5,true]}'),
        (Any, [Line(sku="a", quantity=1), Address("Ulm"), Decimal("0.1"), Speed.FAST],
         b'[{"sku":"a","quantity":1},{"city":"Ulm","zip":""},"0.1","fast"]'),
    ],
)
def test_a_result_is_written_as_its_annotation_says(annotation: Any, result: Any, written: bytes):
    assert returning(annotation).write(result) == written


class Loose(BaseModel):
    anything: Any


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize(
    ("annotation", "result"),
    [
        (int, "x"),
        (Line, {"sku": "a"}),
        (None, 3),
        (float, math.nan),
        (float, math.inf),
        (dict[str, Any], {"a": math.nan}),
        (Loose, Loose(anything=[math.inf])),
        (Any, {"a": math.nan}),
        (Any, {1, 2}),
        (Any, b"bytes"),
        (Any, object()),
        (Any, int),
        (Any, CIRCULAR),
        (list[Any], CIRCULAR),
        (Any, "\ud800"),
        (str, "\ud800"),
        (Line, Line.model_construct(sku="a", quantity="many")),
        (Any, {("a", "b"): 1}),
        (Any, functools.reduce(lambda inner, _: [inner], range(100_000), [])),
    ],
    ids=repr if False else None,
)
def test_a_result_that_is_not_what_it_says_or_not_json_is_refused(annotation: Any, result: Any):
    with pytest.raises(ValueError, match=r"."):
        returning(annotation).write(result)


def test_a_result_of_a_mebibyte_is_taken_and_one_byte_more_refused():
    contract = returning(str)
    room = MAX_PAYLOAD_BYTES - len(b'""')
    assert len(contract.write("x" * room)) == MAX_PAYLOAD_BYTES
    with pytest.raises(ValueError, match=r"at most 1,048,576"):
        contract.write("x" * (room + 1))


def test_schemas_describe_what_goes_in_and_what_comes_out():
    def f(ctx: Context, amount: Annotated[int, Field(gt=0)], currency: Literal["EUR", "CHF"] = "EUR") -> Priced: ...

    contract = Contract(f)
    assert contract.input_schema["required"] == ["amount"]
    assert contract.input_schema["additionalProperties"] is False
    assert contract.input_schema["properties"]["amount"]["exclusiveMinimum"] == 0
    assert contract.input_schema["properties"]["currency"]["default"] == "EUR"
    assert list(contract.output_schema["properties"]) == ["priceOf"]


def test_a_default_that_is_no_json_is_left_out_of_the_schema():
    def f(speed: Any = math.nan, at: Any = object) -> None: ...

    schema = Contract(f).input_schema
    assert all("default" not in each for each in schema["properties"].values())


def test_a_verification_is_known_by_what_it_returns():
    assert returning(Landed[Line] | NotLanded | Pending).gives_verdicts
    assert returning(NotLanded).gives_verdicts
    assert not returning(Line).gives_verdicts


def test_what_landed_is_the_output_of_a_verification():
    contract = returning(Landed[Line] | NotLanded)
    assert contract.output_schema["title"] == "Line"
    assert returning(Landed | Pending).output_schema == {}


def test_verdicts_and_results_do_not_mix():
    with pytest.raises(ConfigError, match="either verdicts"):
        returning(Landed[Line] | Line)
