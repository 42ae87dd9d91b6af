"""From libyaml's events to plain values. Every limit is checked on the event, before its node is built.

Keys count as nodes, and an alias as all the nodes that it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from runner.definition.finding import child, cut, shown
from runner.definition.flaw import Flaw, character_flaw, syntax_flaw
from runner.definition.scalar import resolve

MAX_DEPTH = 64
MAX_NODES = 10_000
MAX_POINTER = 2_000  # characters; places are kept by pointer, so keys may not make each of them huge

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NO_KEY: Any = object()


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets into the text: the end is the first character behind it."""

    start: int
    end: int
    is_collection: bool = False


@dataclass(slots=True)
class Built:
    """What the text says. With flaws, the value is only what was read before or beside them.

    `unread`: pointers of what a flaw is in, or is right behind: there the value may be less than, or other than, what
    was meant. All else in it was read whole.
    """

    value: Any = None
    keys: dict[str, Span] = field(default_factory=dict)
    values: dict[str, Span] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A finished node that aliases may repeat. Its places are `order[first:behind]`."""

    value: Any
    pointer: str
    first: int
    behind: int
    nodes: int
    height: int


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet."""

    value: Any  # a list or a dict
    pointer: str
    anchor: str | None
    first: int
    nodes: int  # how many there were before it
    start: int
    key: Any = _NO_KEY  # of a mapping: the key whose value comes next
    height: int = 1


class _End(Exception):
    """A flaw behind which nothing can be understood."""


def build(text: str) -> Built:
    """Reads one document."""
    builder = _Builder(text)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except _End:
        builder.abandon()
    except yaml.MarkedYAMLError as error:
        builder.built.flaws.append(syntax_flaw(error, text))
        builder.abandon()
    except yaml.reader.ReaderError as error:
        builder.built.flaws.append(character_flaw(error, text))
        builder.abandon()
    return builder.built


class _Builder:
    def __init__(self, text: str) -> None:
        self.text = text
        self.built = Built()
        self.open: list[_Open] = []
        self.order: list[str] = []  # pointers as their nodes began: a subtree is a slice of it
        self.anchors: dict[str, _Anchored] = {}
        self.nodes = 0
        self.documents = 0

    def take(self, event: Any) -> None:
        _TAKERS[type(event)](self, event)

    def begin_document(self, event: Any) -> None:
        self.documents += 1
        if self.documents > 1:
            self.stop("SR009", "a second document begins here; a file holds one", event)

    def scalar(self, event: Any) -> None:
        self.count(1, event)
        self.refuse_tag(event)
        plain = event.style in (None, "")
        value = event.value
        if plain and event.implicit[0] and not event.tag:
            value = self.resolved(event)
        if self.expects_key():
            self.take_key(event, value, plain)
        else:
            first = len(self.order)
            pointer = self.place(event.start_mark.index, event.end_mark.index, is_collection=False)
            self.finish(event.anchor, _Anchored(value, pointer, first, len(self.order), 1, 0))

    def resolved(self, event: Any) -> Any:
        try:
            return resolve(event.value)
        except ValueError as error:
            self.flaw("SR010", f"{shown(event.value)} is not clear here", event, str(error))
            return event.value

    def take_key(self, event: Any, key: Any, plain: bool) -> None:
        if plain and key == "<<":
            self.flaw("SR006", "merge keys (<<) are not supported", event, "write the keys out")
        elif not isinstance(key, str):
            self.flaw("SR008", f"the key {shown(key)} is not text", event, f'write "{event.value}"')
        elif key in self.open[-1].value:
            self.flaw("SR005", f"the key {shown(key)} is here twice", event, "remove one of them")
        self.set_key(str(key), event)
        if event.anchor:
            self.anchors[event.anchor] = _Anchored(key, "", 0, 0, 1, 0)

    def set_key(self, key: str, event: Any) -> None:
        frame = self.open[-1]
        frame.key = key
        self.built.keys[child(frame.pointer, key)] = Span(event.start_mark.index, event.end_mark.index)

    def begin_list(self, event: Any) -> None:
        self.begin(event, [])

    def begin_mapping(self, event: Any) -> None:
        self.begin(event, {})

    def begin(self, event: Any, value: Any) -> None:
        start = event.start_mark.index
        if self.expects_key():
            braces = self.text.startswith("{{", start) or self.text.startswith("{{", max(start - 1, 0))
            hint = 'an expression needs quotes: "{{ … }}"' if braces else "a key is one word or a quoted text"
            self.stop("SR008", "a key must be text", event, hint)
        nodes = self.nodes
        self.count(1, event)
        self.refuse_tag(event)
        self.refuse_depth(len(self.open) + 1, event)
        first = len(self.order)
        pointer = self.place(start, start, is_collection=True)
        if event.anchor:
            self.anchors.pop(event.anchor, None)
        self.open.append(_Open(value, pointer, event.anchor, first, nodes, start))

    def end(self, event: Any) -> None:
        frame = self.open.pop()
        self.built.values[frame.pointer] = Span(frame.start, event.end_mark.index, is_collection=True)
        nodes = self.nodes - frame.nodes
        node = _Anchored(frame.value, frame.pointer, frame.first, len(self.order), nodes, frame.height)
        if self.open:
            self.open[-1].height = max(self.open[-1].height, frame.height + 1)
        self.finish(frame.anchor, node)

    def alias(self, event: Any) -> None:
        node = self.anchors.get(event.anchor)
        if node is None:
            inside = any(frame.anchor == event.anchor for frame in self.open)
            reason = "contains itself" if inside else "is not defined above"
            self.stop("SR011", f"the alias *{cut(event.anchor)} {reason}", event)
        assert node is not None
        self.count(node.nodes, event)
        if self.expects_key():
            if not isinstance(node.value, str):
                self.stop("SR008", "a key must be text", event)
            self.set_key(node.value, event)
            return
        self.refuse_depth(len(self.open) + node.height, event)
        first = len(self.order)
        pointer = self.place(event.start_mark.index, event.end_mark.index, is_collection=False)
        self.repeat_places(node, pointer)
        if self.open:
            self.open[-1].height = max(self.open[-1].height, node.height + 1)
        self.finish(None, _Anchored(node.value, pointer, first, len(self.order), node.nodes, node.height))

    def repeat_places(self, node: _Anchored, pointer: str) -> None:
        """What an alias stands for is where its anchor is: that is the text to mend."""
        keys, values = self.built.keys, self.built.values
        for old in self.order[node.first : node.behind]:
            new = pointer + old[len(node.pointer) :]
            values[new] = values[old]
            if new != pointer:
                self.order.append(new)
                if old in keys:
                    keys[new] = keys[old]

    def place(self, start: int, end: int, *, is_collection: bool) -> str:
        """Notes where the next value is, and says what its pointer is."""
        pointer = self.next_pointer()
        if len(pointer) > MAX_POINTER:
            self.built.flaws.append(Flaw("SR008", "the keys down to here are too long", start, end, "use shorter keys"))
            raise _End
        self.built.values[pointer] = Span(start, end, is_collection)
        self.order.append(pointer)
        return pointer

    def next_pointer(self) -> str:
        if not self.open:
            return ""
        frame = self.open[-1]
        return child(frame.pointer, len(frame.value) if isinstance(frame.value, list) else frame.key)

    def abandon(self) -> None:
        """Closes what is open at the last flaw, behind which nothing was read.

        A line that is indented too little ends what it was meant to be in, and a colon that is left out makes a text of
        two lines: what reaches down to the last line above the flaw may not be what was meant either.
        """
        flaw = self.built.flaws[-1]
        above = self.text[: flaw.start if flaw.since < 0 else flaw.since].split("\n")[:-1]
        while above and above[-1].lstrip()[:1] in ("", "#"):
            above.pop()
        last_line = sum(len(line) + 1 for line in above[:-1])
        self.built.unread |= {pointer for pointer, span in self.built.values.items() if span.end > last_line}
        self.built.unread |= {"", *(frame.pointer for frame in self.open)}
        while self.open:
            frame = self.open.pop()
            self.finish(None, _Anchored(frame.value, frame.pointer, 0, 0, 0, 0))

    def finish(self, anchor: str | None, node: _Anchored) -> None:
        if anchor:
            self.anchors[anchor] = node
        if not self.open:
            self.built.value = node.value
            return
        frame = self.open[-1]
        if isinstance(frame.value, list):
            frame.value.append(node.value)
        else:
            frame.value[frame.key] = node.value
            frame.key = _NO_KEY

    def expects_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, dict) and self.open[-1].key is _NO_KEY

    def count(self, nodes: int, event: Any) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self.stop("SR004", f"more than {MAX_NODES:,} nodes, aliases expanded", event)

    def refuse_depth(self, depth: int, event: Any) -> None:
        if depth > MAX_DEPTH:
            self.stop("SR003", f"nested more than {MAX_DEPTH} deep", event)

    def refuse_tag(self, event: Any) -> None:
        if event.tag:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.flaw("SR007", f"YAML tags ({cut(tag)}) are not supported", event, "remove the tag")

    def flaw(self, code: str, message: str, event: Any, hint: str = "") -> None:
        self.built.unread.add(self.open[-1].pointer if self.expects_key() else self.next_pointer())
        self.built.flaws.append(Flaw(code, message, event.start_mark.index, event.end_mark.index, hint))

    def stop(self, code: str, message: str, event: Any, hint: str = "") -> None:
        self.flaw(code, message, event, hint)
        raise _End


def _pass(_builder: _Builder, _event: Any) -> None:
    """The ends of things, and the stream itself, say nothing new."""


_TAKERS: Mapping[type, Callable[[_Builder, Any], None]] = {
    yaml.StreamStartEvent: _pass,
    yaml.StreamEndEvent: _pass,
    yaml.DocumentStartEvent: _Builder.begin_document,
    yaml.DocumentEndEvent: _pass,
    yaml.ScalarEvent: _Builder.scalar,
    yaml.SequenceStartEvent: _Builder.begin_list,
    yaml.SequenceEndEvent: _Builder.end,
    yaml.MappingStartEvent: _Builder.begin_mapping,
    yaml.MappingEndEvent: _Builder.end,
    yaml.AliasEvent: _Builder.alias,
}
