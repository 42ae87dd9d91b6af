"""Names that nothing uses."""

from __future__ import annotations

import pytest

from tests.findings import LOOK, found


@pytest.mark.parametrize(
    ("head", "step", "expected"),
    [
        ("use: {retries: {a: {max_attempts: 2}}}", f"{{id: s, {LOOK}}}", ["SR229"]),
        ("use: {retries: {a: {max_attempts: 2}}}", f"{{id: s, {LOOK}, retry: a}}", []),
        ("use: {retries: {a: {max_attempts: 2}}}\ndefaults: {retry: a}", f"{{id: s, {LOOK}}}", []),
        ("use: {retries: {a: {max_attempts: 2}}}\ncompensation: {retry: a}", f"{{id: s, {LOOK}}}", []),
        ("use: {retries: {aaa: {max_attempts: 2}}}", f"{{id: s, {LOOK}, retry: aab}}", ["SR212"]),
        ("use: {errors: {a: {}}}", f"{{id: s, {LOOK}}}", ["SR229"]),
        ("use: {errors: {a: {}}}", f"{{id: s, {LOOK}, raises: [a]}}", []),
        ("use: {errors: {a: {}}}", "{fail: {error: a}}", []),
        ("use: {errors: {a: {}}}", "{id: s, wait_for: {signal: s, timeout: 1h, on_timeout: {fail: a}}}", []),
        ("use: {schemas: {a: {type: object}}}", "{set: {}}", ["SR229"]),
        ("input: {$ref: '#/use/schemas/a'}\nuse: {schemas: {a: {type: object}}}", "{set: {}}", []),
        ("use: {schemas: {a: {$ref: '#/use/schemas/b'}, b: {}}}\ninput: {$ref: '#/use/schemas/a'}", "{set: {}}", []),
        ("vars: {a: 1}", "{set: {b: 1}}", ["SR229"]),
        ("vars: {a: 1}", "{set: {b: '{{ vars.a }}'}}", []),
        ("vars: {a: 1}", "{set: {b: '{{ vars }}'}}", []),
        ("vars: {aaa: 1}", "{set: {b: '{{ vars.aab }}'}}", ["SR209"]),
    ],
)
def test_a_name_that_nothing_uses(head: str, step: str, expected: list[str]) -> None:
    assert found(step, head=head) == expected


def test_an_error_that_only_an_undo_may_raise_is_used() -> None:
    contracts = {"act": {"raises": []}, "undo": {"raises": ["a"]}}
    step = "{id: s, worker: act, compensate: {worker: undo}}"
    assert found(step, head="use: {errors: {a: {}}}", contracts=contracts) == []
