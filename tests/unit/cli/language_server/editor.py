"""An editor for tests: pygls' own client, which starts `sagarun lsp` and speaks to it over its standard streams."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from lsprotocol import types
from pygls.lsp.client import LanguageClient

from tests.servers import PATIENCE_S

Answer = TypeVar("Answer")


class Editor:
    """Every call waits for its answer."""

    def __init__(self, root: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.client = LanguageClient("a-test", "1")
        self.messages: list[str] = []
        self._published: dict[str, asyncio.Queue[types.PublishDiagnosticsParams]] = {}
        self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(lambda params: self._take(params))
        self.client.feature(types.WINDOW_SHOW_MESSAGE)(lambda params: self.messages.append(params.message))
        self._versions: dict[str, int] = {}
        self._texts: dict[str, str] = {}
        self.capabilities = self.wait(self._start(root)).capabilities

    async def _start(self, root: Path) -> types.InitializeResult:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
        await self.client.start_io(sys.executable, "-m", "runner.cli.main", "lsp", "--stdio", env=environment)
        asked = types.InitializeParams(
            capabilities=types.ClientCapabilities(), process_id=os.getpid(), root_uri=root.as_uri()
        )
        answer = await self.client.initialize_async(asked)
        self.client.initialized(types.InitializedParams())
        return answer

    def close(self) -> None:
        self.wait(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _stop(self) -> None:
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await self.client.stop()

    def wait(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    def _take(self, params: types.PublishDiagnosticsParams) -> None:
        self._published.setdefault(params.uri, asyncio.Queue()).put_nowait(params)

    # -- what a person does -------------------------------------------------------------------------
    def open(self, file: Path, text: str | None = None) -> list[types.Diagnostic]:
        uri = file.as_uri()
        self._versions[uri], self._texts[uri] = 1, file.read_text() if text is None else text
        item = types.TextDocumentItem(uri, "yaml", 1, self._texts[uri])
        return self._told(uri, lambda: self.client.text_document_did_open(types.DidOpenTextDocumentParams(item)))

    def type(self, file: Path, text: str) -> list[types.Diagnostic]:
        """The whole text anew, as a change of it."""
        uri = file.as_uri()
        self._versions[uri] += 1
        self._texts[uri] = text
        document = types.VersionedTextDocumentIdentifier(version=self._versions[uri], uri=uri)
        change = types.TextDocumentContentChangeWholeDocument(text)
        params = types.DidChangeTextDocumentParams(document, [change])
        return self._told(uri, lambda: self.client.text_document_did_change(params))

    def save(self, file: Path) -> list[types.Diagnostic]:
        uri = file.as_uri()
        params = types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri))
        return self._told(uri, lambda: self.client.text_document_did_save(params))

    def _told(self, uri: str, act: Any) -> list[types.Diagnostic]:
        async def go() -> types.PublishDiagnosticsParams:
            queue = self._published.setdefault(uri, asyncio.Queue())
            act()
            while (published := await queue.get()).version != self._versions[uri]:
                pass
            return published

        return list(self.wait(go()).diagnostics)

    def complete(self, file: Path, before: str) -> list[types.CompletionItem]:
        """Right behind the first place where this text stands."""
        params = types.CompletionParams(self._document(file), self.place(file, before, at_end=True))
        answer = self.wait(self.client.text_document_completion_async(params))
        assert isinstance(answer, types.CompletionList)
        return list(answer.items)

    def hover(self, file: Path, word: str) -> types.Hover | None:
        params = types.HoverParams(self._document(file), self.place(file, word))
        return self.wait(self.client.text_document_hover_async(params))

    def define(self, file: Path, word: str) -> Any:
        params = types.DefinitionParams(self._document(file), self.place(file, word))
        return self.wait(self.client.text_document_definition_async(params))

    def format(self, file: Path) -> Any:
        options = types.FormattingOptions(tab_size=2, insert_spaces=True)
        params = types.DocumentFormattingParams(self._document(file), options)
        return self.wait(self.client.text_document_formatting_async(params))

    def mend(self, file: Path, diagnostic: types.Diagnostic) -> Any:
        context = types.CodeActionContext([diagnostic])
        params = types.CodeActionParams(self._document(file), diagnostic.range, context)
        return self.wait(self.client.text_document_code_action_async(params))

    def place(self, file: Path, word: str, *, at_end: bool = False) -> types.Position:
        """In the middle of the first such word, or behind it; columns count as UTF-16, as the protocol has it."""
        text = self._texts[file.as_uri()]
        offset = text.index(word) + (len(word) if at_end else len(word) // 2)
        line = text[:offset].rpartition("\n")[2]
        return types.Position(text.count("\n", 0, offset), len(line.encode("utf-16-le")) // 2)

    def _document(self, file: Path) -> types.TextDocumentIdentifier:
        return types.TextDocumentIdentifier(file.as_uri())
