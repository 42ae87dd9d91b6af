"""Exit codes, and how what went wrong is told: `error: …` and what to do about it, never a traceback.

The codes are part of the interface (scripts branch on them): docs/commands.md lists them, and a test compares.
"""

from __future__ import annotations

import errno
import logging
import os
import shlex
from collections.abc import Iterable
from enum import IntEnum

from runner import errors


class Exit(IntEnum):
    """What the command's end means."""

    DONE = 0
    NEGATIVE = 1  # problems found, a test failed; the run failed and everything is undone
    USAGE = 2  # the command line or the configuration is wrong
    NEEDS_PERSON = 3  # the run is stuck, or was abandoned
    CANCELLED = 4
    TIMED_OUT = 5  # the wait did; the run goes on
    UNREACHABLE = 6  # Redis
    INTERNAL = 70
    INTERRUPTED = 130


# What the system may refuse anybody, at any file that a command was given or found: no mistake in this program.
_RIGHTS = frozenset({errno.EACCES, errno.EPERM})
_REFUSALS = _RIGHTS | {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG, errno.ELOOP}

# The first class that fits decides, so the special ones stand before the general ones.
_CODES: tuple[tuple[type[errors.SagarunError], Exit], ...] = (
    (errors.UsageError, Exit.USAGE),
    (errors.ConfigError, Exit.USAGE),
    (errors.RunNotFound, Exit.USAGE),
    (errors.ServerRefused, Exit.USAGE),
    (errors.StoreUnavailable, Exit.UNREACHABLE),
    (errors.ArchiveUnavailable, Exit.UNREACHABLE),
    (errors.RecordTampered, Exit.INTERNAL),
    (errors.SagarunError, Exit.NEGATIVE),
)

_HINTS: tuple[tuple[type[errors.SagarunError], str], ...] = (
    (errors.RunNotFound, "sagarun list"),
    (errors.SignalMisfit, "nothing was sent; mend the data, given with --data, --data-file or --set"),
    (errors.InputError, "nothing was started; mend the input, or give another one with --input, --case or --set"),
    (errors.RunConflict, "nothing was started; use another key, or the input that the key was first used with"),
    (errors.RunLimited, "nothing was started; `sagarun watch RUN` tells when that one is over"),
    (errors.StoreUnavailable, "sagarun doctor says what it sees of the server; runs go on when it is back"),
)

EXIT_BY_STATUS = {
    "completed": Exit.DONE,
    "compensated": Exit.NEGATIVE,
    "cancelled": Exit.CANCELLED,
    "abandoned": Exit.NEEDS_PERSON,
    "stuck": Exit.NEEDS_PERSON,
}


def exit_code(error: errors.SagarunError) -> Exit:
    return next(code for kind, code in _CODES if isinstance(error, kind))


def hint_for(error: errors.SagarunError) -> str:
    if isinstance(error, errors.RunNotFound) and error.word.strip():
        look = f"sagarun list {shlex.quote(error.word)} looks for it in ids, keys and workflows"
        return f"{look}; archived runs can only be looked at"
    return next((hint for kind, hint in _HINTS if isinstance(error, kind)), "")


def error_lines(error: errors.SagarunError) -> list[str]:
    """What is printed: the message, with every problem on a line of its own, and the hint."""
    if isinstance(error, errors.InputError) and error.problems:
        lines = [f"error: {error.headline}", *(f"  {problem}" for problem in error.problems)]
    else:
        first, *rest = str(error).splitlines() or [""]
        lines = [f"error: {first}", *(f"  {line}" for line in rest)]
    hint = hint_for(error)
    return [*lines, f"hint:  {hint}"] if hint else lines


def problem_lines(error: errors.DefinitionError) -> list[str]:
    """The problems of a definition, each with its line and a caret, and how many there are."""
    from runner.cli.checking.problems import full

    return full(error.problems)


def write_traceback(error: BaseException) -> str:
    """Put the traceback where a developer finds it (the log, if there is one yet), and say where that is."""
    import tempfile
    import traceback

    from runner.monitor.logs import current_log

    log = current_log()
    if log is not None:
        logging.getLogger("sagarun").critical("internal error", exc_info=error)
        return str(log)
    descriptor, name = tempfile.mkstemp(prefix="sagarun-error-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(traceback.format_exception(error)))
    return name


def is_of_the_system(error: OSError) -> bool:
    """The system refused a file, and says which one."""
    return error.errno in _REFUSALS and isinstance(error.filename, str | bytes | os.PathLike)


def refusal_lines(error: OSError) -> list[str]:
    from runner.shown import spelled

    file = spelled(os.fsdecode(error.filename))
    hint = "look at its rights, and at those of the folders above it" if error.errno in _RIGHTS else ""
    return [f"error: {file}: {error.strerror}", *([f"hint:  {hint}"] if hint else [])]


def internal_error_lines(error: BaseException, where: str) -> list[str]:
    return [
        f"error: sagarun failed: {type(error).__name__}: {first_line(str(error))}",
        f"hint:  this is a bug; the traceback is in {where}",
    ]


def first_line(text: str) -> str:
    return text.splitlines()[0] if text else ""


def did_you_mean(word: str, known: Iterable[str], *, before: str = "") -> str:
    """' Did you mean "charge"?', or nothing. before: what stands before each word, and is not compared."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(known), n=1)
    return f' Did you mean "{before}{close[0]}"?' if close else ""
