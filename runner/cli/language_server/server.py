"""The server that editors speak to, over standard input and output: it turns their places into ours, and back.

Rule: the only module that imports pygls. No code of the project is run: an editor may have opened anything. What
workers take is known from schemas/workers.json, or not at all.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path
from pygls.workspace import TextDocument

from runner import __version__
from runner.cli.language_server.completion import Item, complete
from runner.cli.language_server.definition import definition
from runner.cli.language_server.hover import hover
from runner.cli.language_server.project import Projects, kind_of
from runner.cli.language_server.reading import Reading, problems_of, read
from runner.definition.formatting.format import format_text
from runner.definition.problem import Problem
from runner.definition.project import Project
from runner.errors import ConfigError, DefinitionError

_PAUSE_S = 0.15  # after a keystroke, before the text is checked
_SEVERITIES = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "info": types.DiagnosticSeverity.Information,
}
_KINDS = {
    "key": types.CompletionItemKind.Keyword, "value": types.CompletionItemKind.EnumMember,
    "worker": types.CompletionItemKind.Function, "step": types.CompletionItemKind.Variable,
    "property": types.CompletionItemKind.Property, "name": types.CompletionItemKind.Variable,
    "filter": types.CompletionItemKind.Function,
}  # fmt: skip


class SagarunServer(LanguageServer):
    """One editor's server: its open files, and what was last found in each."""

    def __init__(self) -> None:
        super().__init__("sagarun", __version__, text_document_sync_kind=types.TextDocumentSyncKind.Incremental)
        self.projects = Projects()
        self.found: dict[str, list[Problem]] = {}
        self.read: dict[str, tuple[int | None, Reading]] = {}  # by URI: of which version of the text
        self.waiting: dict[str, asyncio.TimerHandle] = {}
        self.told: set[str] = set()

    # -- what is open -------------------------------------------------------------------------------
    def reading(self, document: TextDocument) -> Reading | None:
        """None for what is no definition of a project that can be read. Each text is read once, until it is checked."""
        known = self.read.get(document.uri)
        if known is not None and known[0] == document.version:
            return known[1]
        reading = self._read(document)
        if reading is not None:
            self.read[document.uri] = (document.version, reading)
        return reading

    def _read(self, document: TextDocument) -> Reading | None:
        path = _path(document)
        if path is None or kind_of(path, document.source) != "definition":
            return None
        project = self.project_of(path)
        if project is None:
            return None
        contracts = self.projects.contracts(project)
        if contracts is None:
            self.tell_once(f"{project.name}: workers are neither checked nor completed; run: sagarun workers export")
        return read(path, document.source, project, contracts)

    def project_of(self, path: Path) -> Project | None:
        try:
            return self.projects.of(path)
        except ConfigError as error:
            self.tell_once(str(error))
            return None

    def tell_once(self, message: str) -> None:
        if message not in self.told:
            self.told.add(message)
            params = types.ShowMessageParams(type=types.MessageType.Warning, message=f"sagarun: {message}")
            self.window_show_message(params)

    # -- findings -----------------------------------------------------------------------------------
    def check_soon(self, uri: str) -> None:
        waiting = self.waiting.pop(uri, None)
        if waiting is not None:
            waiting.cancel()
        self.waiting[uri] = asyncio.get_running_loop().call_later(_PAUSE_S, self.check, uri)

    def check(self, uri: str) -> None:
        self.waiting.pop(uri, None)
        document = self.workspace.get_text_document(uri)
        self.read.pop(uri, None)  # what it refers to may have changed
        self.found[uri] = self.problems(document)
        diagnostics = [_diagnostic(document, problem) for problem in self.found[uri]]
        params = types.PublishDiagnosticsParams(uri=uri, diagnostics=diagnostics, version=document.version)
        self.text_document_publish_diagnostics(params)

    def problems(self, document: TextDocument) -> list[Problem]:
        path = _path(document)
        if path is not None and kind_of(path, document.source) == "test":
            from runner.cli.checking.test_files import check_test_file

            project = self.project_of(path)
            return check_test_file(path, project.root, document.source) if project is not None else []
        reading = self.reading(document)
        return problems_of(reading) if reading is not None else []

    def check_all(self) -> None:
        """What was saved may be a child, a schema or a contract of what else is open."""
        for uri in list(self.workspace.text_documents):
            self.check(uri)


def make_server() -> SagarunServer:
    """With all that it answers."""
    server = SagarunServer()
    answers: tuple[tuple[str, Any, Any], ...] = (
        (types.TEXT_DOCUMENT_DID_OPEN, _opened, None),
        (types.TEXT_DOCUMENT_DID_CHANGE, _changed, None),
        (types.TEXT_DOCUMENT_DID_SAVE, _saved, None),
        (types.TEXT_DOCUMENT_DID_CLOSE, _closed, None),
        (types.TEXT_DOCUMENT_COMPLETION, _complete, types.CompletionOptions(trigger_characters=[".", "{", "|", " "])),
        (types.TEXT_DOCUMENT_HOVER, _hover, None),
        (types.TEXT_DOCUMENT_DEFINITION, _define, None),
        (types.TEXT_DOCUMENT_FORMATTING, _format, None),
        (
            types.TEXT_DOCUMENT_CODE_ACTION, _mend,
            types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix]),
        ),
    )  # fmt: skip
    for method, answer, options in answers:
        server.feature(method, options)(answer)
    return server


def _opened(server: SagarunServer, params: types.DidOpenTextDocumentParams) -> None:
    server.check(params.text_document.uri)


def _changed(server: SagarunServer, params: types.DidChangeTextDocumentParams) -> None:
    server.check_soon(params.text_document.uri)


def _saved(server: SagarunServer, _params: types.DidSaveTextDocumentParams) -> None:
    server.check_all()


def _closed(server: SagarunServer, params: types.DidCloseTextDocumentParams) -> None:
    uri = params.text_document.uri
    server.found.pop(uri, None)
    server.read.pop(uri, None)
    waiting = server.waiting.pop(uri, None)
    if waiting is not None:
        waiting.cancel()
    server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri=uri, diagnostics=[]))


def _complete(server: SagarunServer, params: types.CompletionParams) -> types.CompletionList | None:
    document = server.workspace.get_text_document(params.text_document.uri)
    whole = server.reading(document)
    if whole is None:
        return None
    offset = document.offset_at_position(params.position)

    def again(text: str) -> Reading:
        return read(whole.path, text, whole.project, whole.contracts)

    items = complete(document.source, offset, again)
    return types.CompletionList(False, [_item(document, offset, item, rank) for rank, item in enumerate(items)])


def _item(document: TextDocument, offset: int, item: Item, rank: int) -> types.CompletionItem:
    place = _range(document, item.start, offset)
    return types.CompletionItem(
        label=item.label,
        kind=_KINDS[item.kind],
        detail=item.detail or None,
        documentation=types.MarkupContent(types.MarkupKind.Markdown, item.doc) if item.doc else None,
        sort_text=f"{rank:04}",
        filter_text=item.label,
        text_edit=types.TextEdit(place, item.insert or item.label),
    )


def _hover(server: SagarunServer, params: types.HoverParams) -> types.Hover | None:
    document = server.workspace.get_text_document(params.text_document.uri)
    reading = server.reading(document)
    if reading is None:
        return None
    problems = server.found.get(params.text_document.uri, [])
    found = hover(reading, document.offset_at_position(params.position), problems)
    if found is None:
        return None
    start, end, text = found
    return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, text), _range(document, start, end))


def _define(server: SagarunServer, params: types.DefinitionParams) -> types.Location | None:
    document = server.workspace.get_text_document(params.text_document.uri)
    reading = server.reading(document)
    target = definition(reading, document.offset_at_position(params.position)) if reading is not None else None
    if target is None:
        return None
    if target.start >= 0:
        return types.Location(document.uri, _range(document, target.start, target.end))
    line = types.Position(target.line - 1, 0)
    return types.Location(str(from_fs_path(str(target.path))), types.Range(line, line))


def _format(server: SagarunServer, params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
    """Nothing for a broken text: its findings say why."""
    document = server.workspace.get_text_document(params.text_document.uri)
    path = _path(document)
    if path is None or kind_of(path, document.source) == "other":
        return None
    try:
        made = format_text(document.source, str(path))
    except DefinitionError:
        return None
    if made == document.source:
        return []
    return [types.TextEdit(_range(document, 0, len(document.source)), made)]


def _mend(server: SagarunServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    uri = params.text_document.uri
    document = server.workspace.get_text_document(uri)
    actions = []
    for problem in server.found.get(uri, []):
        diagnostic = _diagnostic(document, problem)
        lines = range(params.range.start.line, params.range.end.line + 1)
        if problem.instead and diagnostic.range.start.line in lines:
            edit = types.TextEdit(diagnostic.range, problem.instead)
            actions.append(
                types.CodeAction(
                    title=f"Write {problem.instead}", kind=types.CodeActionKind.QuickFix, is_preferred=True,
                    diagnostics=[diagnostic], edit=types.WorkspaceEdit(changes={uri: [edit]}),
                )
            )  # fmt: skip
    return actions


def _path(document: TextDocument) -> Path | None:
    """None for what is in no file."""
    path = to_fs_path(document.uri)
    return Path(path) if path and document.uri.startswith("file:") else None


def _diagnostic(document: TextDocument, problem: Problem) -> types.Diagnostic:
    start = 0
    for _ in range(problem.line - 1):
        start = document.source.find("\n", start) + 1
    start += problem.column - 1
    hint = f" ({problem.hint})" if problem.hint else ""
    return types.Diagnostic(
        range=_range(document, start, start + problem.length),
        message=problem.message + hint,
        severity=_SEVERITIES[problem.severity],
        code=problem.code,
        source="sagarun",
    )


def _range(document: TextDocument, start: int, end: int) -> types.Range:
    return types.Range(document.client_position_at_offset(start), document.client_position_at_offset(end))
