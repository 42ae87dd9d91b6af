"""`sagarun fmt`: definitions and test files in one form, so that nobody has to talk about it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.failure import Exit
from runner.cli.options import plain_options

if TYPE_CHECKING:
    from runner.cli.checking.rewriting import Original

_STDIN = Path("-")


@click.command(short_help="Write definitions in the canonical form.")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", "only_checked", is_flag=True, help="Write nothing; exit code 1 if a file would change.")
@click.option("--diff", "only_shown", is_flag=True, help="The same, and show what would change.")
@click.option("--stdin-name", default="-", metavar="FILE", help="What a text from standard input (-) is called.")
@plain_options
def command(paths: tuple[Path, ...], only_checked: bool, only_shown: bool, stdin_name: str) -> int:
    """Write definitions and test files in the canonical form: PATHs are files or folders, by default the project's
    definitions/; - reads standard input and writes standard output.

    Comments stay with what they are about, and what a file says never changes: it is read again and compared. Exit code
    2 if a file cannot be read as YAML; it is left as it is, the others are written.
    """
    from runner.cli.checking.problems import full
    from runner.cli.checking.rewriting import diff_lines
    from runner.cli.commands.validate import files_of
    from runner.cli.settings import settings
    from runner.definition.formatting.format import format_text
    from runner.errors import DefinitionError, UsageError

    chosen = settings(next((path for path in paths if path != _STDIN), None))
    files = list(dict.fromkeys(files_of(paths or (chosen.project.definitions,))))
    if _STDIN in files and len(files) > 1:
        raise UsageError("standard input (-) is formatted on its own")
    is_dry = only_checked or only_shown
    changed, broken = 0, 0
    for file in files:
        try:
            original = _original(file, stdin_name)
            made = format_text(original.text, str(original.path))
        except DefinitionError as error:
            texts = {str(original.path): original.text} if file == _STDIN else {}
            chosen.screen.error(full(error.problems, chosen.project.root, texts)[:-1])
            broken += 1
            continue
        is_changed = made != original.text
        changed += is_changed
        if only_shown:
            for line in diff_lines(original.text, made, str(original.path)):
                chosen.screen.data(line)
        elif file == _STDIN and not is_dry:
            sys.stdout.write(made)
        elif is_changed:
            if not is_dry:
                original.write(made)
            chosen.screen.note(f"{'would reformat' if is_dry else 'reformatted'} {original.path}")
    if is_dry or files != [_STDIN]:
        chosen.screen.note(_total(changed, len(files) - changed - broken, broken, is_dry=is_dry))
    return Exit.USAGE if broken else Exit.NEGATIVE if is_dry and changed else Exit.DONE


def _original(file: Path, stdin_name: str) -> Original:
    """Raises DefinitionError for a file that is too large or no text, UsageError for standard input that is none."""
    from runner.cli.checking.rewriting import Original, read_original
    from runner.definition.source import read_file
    from runner.errors import UsageError

    if file != _STDIN:
        read_file(file)
        return read_original(file)
    stream = getattr(sys.stdin, "buffer", None)  # as bytes, or its ends of lines would be lost
    data: bytes = stream.read() if stream is not None else sys.stdin.read().encode()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"standard input is not UTF-8 text: byte {error.start + 1} cannot be read") from None
    return Original(Path(stdin_name), data)


def _total(changed: int, same: int, broken: int, *, is_dry: bool) -> str:
    from runner.cli.wording import plural

    would = "would be reformatted" if is_dry else "reformatted"
    parts = [f"{plural(changed, 'file')} {would}"] if changed else []
    parts += [f"{plural(same, 'file')} left as {'it is' if same == 1 else 'they are'}"] if same else []
    parts += [f"{plural(broken, 'file')} cannot be formatted"] if broken else []
    return ", ".join(parts) or "no files"
