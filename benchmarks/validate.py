"""How long `sagarun validate` takes for a project of many definitions, from a cold start: as whole processes.

    python benchmarks/validate.py [--definitions 100] [--steps 50] [--rounds 5]

Beside it, where it is installed (`pip install check-jsonschema`), check-jsonschema holds the same files against the
schema of the language alone: what a hook without sagarun would do. The two take turns. The time that counts is that of
the processor (user and system, children included): the wall's clock also counts what else a machine does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BLOCK = """\
  - id: look{n}
    worker: orders.validate
    with: {{order: "{{{{ input }}}}"}}
    kind: readonly
    raises: [invalid_order]
  - id: hold{n}
    when: "{{{{ steps.look{n}.output.pieces > {n} }}}}"
    worker: inventory.reserve
    with: {{hold_ref: "{{{{ step.ref }}}}", order: "{{{{ input.order_id }}}}", items: "{{{{ input.items }}}}"}}
    raises: [out_of_stock]
    compensate: {{worker: inventory.release, with: {{hold_ref: "{{{{ step.ref }}}}"}}}}
  - id: charge{n}
    worker: payments.charge
    with:
      payment_ref: "{{{{ step.ref }}}}"
      order: "{{{{ input.order_id }}}}"
      amount: "{{{{ steps.look{n}.output.total + {n} }}}}"
      currency: "{{{{ input.currency }}}}"
      token: "{{{{ input.payment.token }}}}"
    raises: [card_declined]
    timeout: 8s
    on_unknown: verify
    verify: {{worker: payments.lookup, with: {{payment_ref: "{{{{ step.ref }}}}", order: "{{{{ input.order_id }}}}"}}}}
    compensate:
      worker: payments.refund
      with: {{payment_ref: "{{{{ step.ref }}}}", order: "{{{{ input.order_id }}}}"}}
  - id: part{n}
    when: "{{{{ steps.hold{n}.output is defined }}}}"
    set:
      last{n}: "{{{{ steps.hold{n}.output.pieces * {n} }}}}"
      paid{n}: "{{{{ steps.charge{n}.output.payment_id }}}}"
  - id: tell{n}
    worker: notifications.send
    with:
      message_ref: "{{{{ step.ref }}}}"
      customer: "{{{{ input.customer_id }}}}"
      about: "{{{{ input.order_id }}}}-{n}"
      template: order_confirmed
    raises: [undeliverable]
    on_failure: continue
    on_unknown: retry
    compensate: none
    reason: a mail cannot be unsent
"""
STEPS_OF_A_BLOCK = 5


def definition(number: int, steps: int) -> str:
    blocks = [BLOCK.format(n=number * 1000 + block) for block in range(steps // STEPS_OF_A_BLOCK)]
    head = f"workflow: flow_{number}\nversion: 1.0.0\ninput: {{$ref: ../schemas/order.schema.json}}\n"
    return f"{head}idempotency_key: \"{{{{ input.order_id }}}}\"\nsteps:\n{''.join(blocks)}"


def project(folder: Path, definitions: int, steps: int) -> None:
    (folder / "definitions").mkdir()
    (folder / "schemas").mkdir()
    (folder / "sagarun.yaml").write_text("project: many\n", encoding="utf-8")
    for name in ("workers.json", "order.schema.json"):
        shutil.copy(ROOT / "schemas" / name, folder / "schemas" / name)
    for number in range(definitions):
        path = folder / "definitions" / f"flow_{number:03}.yaml"
        path.write_text(definition(number, steps), encoding="utf-8")


def measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """Seconds of processor time and on the wall, and the last line that it said."""
    began, before = time.perf_counter(), os.times()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, time.perf_counter() - began, (done.stderr or done.stdout).strip().splitlines()[-1]


def commands() -> dict[str, list[str]]:
    here = Path(sys.executable).parent
    found = {"sagarun validate": [str(here / "sagarun"), "validate", "definitions"]}
    checker = shutil.which("check-jsonschema", path=f"{here}{os.pathsep}{os.environ.get('PATH', '')}")
    if checker is not None:
        schema = str(ROOT / "schemas" / "workflow.schema.json")
        found["check-jsonschema (the schema alone)"] = [checker, "--schemafile", schema]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--definitions", type=int, default=100)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sagarun-validate."))
    try:
        project(folder, given.definitions, given.steps)
        files = sorted(str(path.relative_to(folder)) for path in (folder / "definitions").iterdir())
        used: dict[str, list[tuple[float, float, str]]] = {}
        for _ in range(given.rounds):
            for name, command in commands().items():
                whole = command if name.startswith("sagarun") else [*command, *files]
                used.setdefault(name, []).append(measured(whole, folder))
        print(f"{given.definitions} definitions of {given.steps} steps, {given.rounds} cold starts, median (least):")
        for name, times in used.items():
            cpu, wall = ([each[index] for each in times] for index in (0, 1))
            said = times[-1][2]
            print(
                f"  {name:<38} {statistics.median(cpu):6.2f} s of processor ({min(cpu):.2f}), "
                f"{statistics.median(wall):6.2f} s on the wall ({min(wall):.2f})   {said}"
            )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
