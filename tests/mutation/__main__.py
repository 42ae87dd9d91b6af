"""Says how many mistakes in the shipped definitions `validate` finds: `python -m tests.mutation [--survivors]`.

The exit status is 1 if fewer than 95 % are caught, or if a survivor has no reason in survivors.txt.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.mutation.survey import Verdict, contracts, shipped, survey
from tests.mutation.survivors import reason_of

BOUND = 0.95


def table(verdicts: list[Verdict]) -> list[str]:
    made = Counter(verdict.mutant.operator for verdict in verdicts if not verdict.is_equivalent)
    caught = Counter(verdict.mutant.operator for verdict in verdicts if verdict.codes)
    same = Counter(verdict.mutant.operator for verdict in verdicts if verdict.is_equivalent)
    lines = ["| operator | mutants | caught | | equivalent, left out |", "|---|---:|---:|---:|---:|"]
    for operator in dict.fromkeys(verdict.mutant.operator for verdict in verdicts):
        rate = f"{caught[operator] / made[operator]:.0%}" if made[operator] else ""
        lines.append(f"| {operator} | {made[operator]} | {caught[operator]} | {rate} | {same[operator] or ''} |")
    rate = rate_of(verdicts)
    each = [caught[operator] / made[operator] for operator in made]
    lines.append(f"| mean of the operators' rates | | | {sum(each) / len(each):.1%} | |")
    lines.append(f"| **all** | **{made.total()}** | **{caught.total()}** | **{rate:.1%}** | {same.total()} |")
    return lines


def rate_of(verdicts: list[Verdict]) -> float:
    counted = [verdict for verdict in verdicts if not verdict.is_equivalent]
    return sum(bool(verdict.codes) for verdict in counted) / len(counted)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--survivors", action="store_true", help="list what is not caught, with the reasons")
    parser.add_argument("--every", type=int, default=1, help="only every n-th mutant of an operator and a file")
    given = parser.parse_args()
    known = contracts()
    verdicts = [verdict for path in shipped() for verdict in survey(path, known, given.every)]
    print("\n".join(table(verdicts)))
    left = [verdict for verdict in verdicts if not verdict.codes and not verdict.is_equivalent]
    unexplained = [verdict for verdict in left if not reason_of(verdict)]
    if given.survivors:
        for reason in dict.fromkeys(map(reason_of, left)):
            print(f"\n{reason or 'NO REASON'}")
            for verdict in left:
                if reason_of(verdict) == reason:
                    print(f"  {verdict.name}")
    for verdict in unexplained:
        print(f"no reason is known: {verdict.name}")
    return 1 if rate_of(verdicts) < BOUND or unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
