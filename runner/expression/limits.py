"""How large an expression and what it computes may be. Each is a clear fault, each is tested at its edge."""

from __future__ import annotations

from typing import Final

MAX_SOURCE: Final = 1_024  # characters of one expression
MAX_NODES: Final = 200  # of its syntax tree
MAX_DEPTH: Final = 40  # of its syntax tree: the compilers below recurse, and Python nests at most 200 parentheses
MAX_BRACKETS: Final = 16  # open at once; checked before parsing, because the parser takes 13 frames for each
MAX_RESULT: Final = 65_536  # bytes of JSON of a computed value; what a path look-up gives is passed on as it is
MAX_TEXT: Final = 65_536  # characters of a string on the way to a result
MAX_ITEMS: Final = 32_768  # of a list on the way to a result: more cannot fit into MAX_RESULT
MAX_SORTED: Final = 10_000  # items for sort and unique
MAX_SCANNED: Final = 1_000_000  # items times length of what each is looked up in
MAX_PARTS: Final = 100  # expressions in one text
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**63 - 1
