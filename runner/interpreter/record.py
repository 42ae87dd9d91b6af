"""A run as it is stored, and its history: JSON there and back.

One field a node ("n:<path>") and one a payload ("p:<name>"), so that a commit writes what changed. What changes with
nearly every commit, the header and the root, is the state; what never changes of the header is a field, "h". What a
task gave is kept by the store when it takes it in ("p:<name of its input>>"): a result, and most often the output too.
A history entry holds the events of one commit, as a JSON list. Payloads live once, in their fields: an entry leaves
them out, and `decode_events` puts them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from runner.interpreter import event as ev
from runner.interpreter.paths import ROOT, order
from runner.interpreter.state import Header, Node, Run


class _Top(msgspec.Struct):
    header: Header


class _State(_Top):
    root: Node | None


_NODE = msgspec.json.Decoder(Node)
_STATE = msgspec.json.Decoder(_State)
_TOP = msgspec.json.Decoder(_Top)
_HEADER = msgspec.json.Decoder(Header)
_EVENT: msgspec.json.Decoder[ev.AnyEvent] = msgspec.json.Decoder(ev.AnyEvent)
_EVENTS: msgspec.json.Decoder[list[ev.AnyEvent]] = msgspec.json.Decoder(list[ev.AnyEvent])
_ENCODER = msgspec.json.Encoder()
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # what decoding raises, whatever the bytes are
ENTRY_BYTES = 256 * 1024  # of one history entry, unless one event alone has more: errors may quote 16 KiB each
_OUTPUT = ">"  # behind the name of a task's input: what it gave
_RESULT = f":action{_OUTPUT}"
_CONSTANT = (  # of a header
    "run_id", "workflow", "version", "digest", "key", "rerun_of", "parent", "parent_path", "started_at_ms",
    "traceparent",
)


def run_of(state: bytes, fields: Mapping[str, bytes]) -> Run:
    """The run that `changes_of` and `state_of` stored."""
    nodes: dict[str, Node] = {}
    payloads: dict[str, Any] = {}
    given: dict[str, bytes] = {}
    for name, value in fields.items():
        if name.startswith("n:"):
            nodes[name[2:]] = _NODE.decode(value)
        elif name.endswith(_RESULT):
            given[name[2 : -len(_RESULT)]] = value
        elif name.startswith("p:") and not name.endswith(_OUTPUT):
            payloads[name[2:]] = msgspec.json.decode(value)
    for path, text in given.items():
        has_output = path in nodes and nodes[path].has_output
        try:
            output = msgspec.json.decode(text)
        except UNREADABLE:
            if has_output:
                raise
            continue  # its attempt was unknown for that: nobody has it
        payloads.setdefault(f"{path}:result", output)
        if has_output:
            payloads.setdefault(f"{path}:output", output)
    stored = _STATE.decode(state)
    if stored.root is not None:
        nodes[ROOT] = stored.root
    header, begun = stored.header, _HEADER.decode(fields["h"])
    for name in _CONSTANT:
        setattr(header, name, getattr(begun, name))
    return Run(header, dict(sorted(nodes.items(), key=_begun)), payloads)


def _begun(item: tuple[str, Node]) -> tuple[int, int, str]:
    # Redis gives a hash's fields in no order; the order in which nodes began is the one that people read.
    return item[1].started_at_ms, item[0].count("/"), order(item[0])


def decode_header(state: bytes) -> Header:
    """The header alone, without what never changes of it."""
    return _TOP.decode(state).header


def state_of(run: Run) -> bytes:
    """What changes with nearly every commit: header and root, without what `changes_of` wrote at the start."""
    header: Header = run.header.__copy__()  # type: ignore[attr-defined]
    header.run_id = header.workflow = header.version = header.digest = header.key = header.rerun_of = ""
    header.parent = header.parent_path = header.traceparent = ""
    header.started_at_ms = 0
    return _ENCODER.encode(_State(header, run.nodes.get(ROOT)))


def changes_of(run: Run) -> dict[str, bytes]:
    """The fields that changed since this draft of a run was begun."""
    nodes, payloads = run.nodes, run.payloads
    fields = {f"n:{path}": _ENCODER.encode(nodes[path]) for path in run.changed if path != ROOT}
    if "~input" in run.dirty:  # it has just begun
        fields["h"] = _ENCODER.encode(Header(**{name: getattr(run.header, name) for name in _CONSTANT}))
    for name in run.dirty:
        if name not in run.kept and name in payloads:
            fields[f"p:{name}"] = _ENCODER.encode(payloads[name])
    return fields


def encode_events(events: Sequence[ev.AnyEvent]) -> list[bytes]:
    """History entries (nearly always one), without what their payload fields hold."""
    slim = [_SLIM[type(event)](event) if type(event) in _SLIM else event for event in events]
    return _entries(slim) if slim else []


def _entries(events: Sequence[ev.AnyEvent]) -> list[bytes]:
    entry = _ENCODER.encode(events)
    if len(entry) <= ENTRY_BYTES or len(events) == 1:
        return [entry]
    middle = len(events) // 2
    return _entries(events[:middle]) + _entries(events[middle:])


def decode_events(entries: Iterable[bytes], payloads: Mapping[str, Any]) -> list[ev.AnyEvent]:
    """The events of these history entries, in order."""
    return [
        _FILL[type(event)](event, payloads) if type(event) in _FILL else event
        for entry in entries for event in _EVENTS.decode(entry)
    ]


def decode_request(body: bytes, at_ms: int) -> ev.External:
    """A request or start as it was posted, at the time the store took it in. Raises msgspec.DecodeError."""
    event = _EVENT.decode(body)
    if not isinstance(event, ev.Request | ev.RunStarted) or isinstance(event, ev.ParentTold):
        raise msgspec.ValidationError(f"{type(event).__name__} cannot be asked for")
    return cast("ev.External", replace(event, at_ms=at_ms))


def decode_told(body: bytes, at_ms: int) -> ev.External:
    """What another run's commit put into the inbox. Raises msgspec.DecodeError."""
    event = _EVENT.decode(body)
    if isinstance(event, ev.ChildTold):
        return replace(event, at_ms=at_ms, size=len(body))
    if isinstance(event, ev.ParentTold):
        return replace(event, at_ms=at_ms)
    raise msgspec.ValidationError(f"{type(event).__name__} is nothing that runs tell each other")


_SLIM: dict[type, Callable[[Any], ev.AnyEvent]] = {
    ev.RunStarted: lambda e: replace(e, input=None),
    ev.TaskSettled: lambda e: replace(e, output=None, kept=False),
    ev.TaskDispatched: lambda e: replace(e, input=None, undo=None) if e.fresh else e,
    ev.StepCompleted: lambda e: replace(e, output=None, undo=None),
    ev.StepCaught: lambda e: replace(e, output=None),
    ev.ItemsListed: lambda e: replace(e, items=[]),
    ev.RunDecided: lambda e: replace(e, output=None),
    ev.RunProvisional: lambda e: replace(e, output=None),
    ev.ChildStarted: lambda e: replace(e, input=None, undo=None),
    ev.ChildTold: lambda e: replace(e, output=None),
}


def _fill_dispatched(event: ev.TaskDispatched, payloads: Mapping[str, Any]) -> ev.AnyEvent:
    if not event.fresh:
        return event
    name = "undo" if event.phase == "compensate" else event.phase
    undo = payloads.get(f"{event.path}:undo") if event.phase == "action" else None
    return replace(event, input=payloads.get(f"{event.path}:{name}"), undo=undo)


def _fill_output(event: Any, payloads: Mapping[str, Any]) -> ev.AnyEvent:
    return cast("ev.AnyEvent", replace(event, output=payloads.get(f"{event.path}:output")))


_FILL: dict[type, Callable[[Any, Mapping[str, Any]], ev.AnyEvent]] = {
    ev.RunStarted: lambda e, p: replace(e, input=p.get("~input")),
    ev.TaskDispatched: _fill_dispatched,
    ev.StepCompleted: _fill_output,
    ev.StepCaught: _fill_output,
    ev.ItemsListed: lambda e, p: replace(e, items=p.get(f"{e.path}:items") or []),
    ev.RunDecided: lambda e, p: replace(e, output=p.get("~output")),
    ev.RunProvisional: lambda e, p: replace(e, output=p.get("~output")),
    ev.ChildStarted: lambda e, p: replace(e, input=p.get(f"{e.path}:action"), undo=p.get(f"{e.path}:undo")),
}
