"""A run told line by line, as its events come in: what a pipe, a log or a person without a terminal gets.

Lines are only ever added. What is told is what the history says, in its order, so that two who watch read the same.
Of a loop with many items only what goes wrong is told one by one, and how far it is: see `crowd`. What each event is
worth is in `telling`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.cli.screen import Line, Span
from runner.cli.story.crowd import Crowd
from runner.cli.story.layout import NOTE, SAID, Layout, attempts_text, label
from runner.cli.story.telling import TELL
from runner.cli.wording import duration, one_line
from runner.interpreter import event as ev
from runner.interpreter.paths import static
from runner.interpreter.plan import Plan, StepPlan
from runner.monitor.story import Story

_SHOWN = ("worker", "set", "fail", "wait", "wait_for", "subworkflow")


@dataclass(slots=True)
class Narrator:
    """Tells one run. `plan` is None where its definition cannot be had.

    prefix: what stands before the names of its steps, for a run that another one started: "pay/".
    """

    plan: Plan | None
    verbose: bool = False
    prefix: str = ""
    layout: Layout | None = None
    story: Story = field(default_factory=Story)
    _layout: Layout = field(init=False)
    crowd: Crowd = field(default_factory=Crowd)
    run_id: str = ""
    won: set[str] = field(default_factory=set)  # steps with `join: any` of which a branch has completed
    _stands: dict[str, None] = field(default_factory=dict)  # steps whose effect would have to be undone

    def __post_init__(self) -> None:
        self._layout = self.layout or Layout.of(self.plan)

    def below(self, path: str, plan: Plan | None) -> Narrator:
        """Of the run that this step of it has started."""
        return Narrator(plan, self.verbose, f"{self.prefix}{path}/", self._layout)

    def tell(self, event: ev.AnyEvent) -> list[Line]:
        """The lines that this event adds."""
        self.story.tell(event)
        told = TELL.get(type(event))
        return list(told(self, event)) if told else []

    def place(self, path: str) -> StepPlan | None:
        return self.plan.steps.get(static(path)) if self.plan else None

    def step_line(self, symbol: Span, path: str, worker: str, took_ms: float | None, remark: str = "") -> Line:
        name, depth = (f"{self.prefix}{path}", 0) if self.prefix else label(path, self.place(path))
        return self._layout.line(symbol, name, worker, duration(took_ms), one_line(remark), depth=depth)

    def run_line(self, symbol: Span, text: str) -> Line:
        """About the run as a whole."""
        about = f"{self.prefix.rstrip('/')}: " if self.prefix else ""
        return [("  ", ""), symbol, (f" {about}{text}", "")]

    def kind_line(self, path: str, remark: str) -> Line:
        """A note about a step that asks nobody: what kind of step it is stands where its worker would."""
        return self.step_line(NOTE, path, self.worker_of(path), None, remark)

    def worker_of(self, path: str, phase: str = "action") -> str:
        """"" for a step that asks nobody, or nobody in this phase."""
        place = self.place(path)
        if place is not None and place.child is not None and phase == "compensate":
            return place.compensate.worker if place.compensate is not None else place.kind
        if place is None or place.worker is None:
            return place.kind if place is not None and place.kind in SAID and phase == "action" else ""
        calls = {"action": place.worker.call, "compensate": place.worker.compensate, "confirm": place.worker.confirm}
        call = calls[phase]
        return call.worker if call else ""

    def took(self, path: str) -> int:
        chapter = self.story.chapter(path)
        return chapter.ended_at_ms - chapter.started_at_ms - chapter.stuck_ms("forward")

    def tries(self, path: str, phase: str = "action") -> str:
        return attempts_text(self.story.chapter(path).of_phase(phase))

    def is_shown(self, path: str) -> bool:
        """What is no step (the whole of the run, its `finally`) has no name, and no line."""
        place = self.place(path)
        if place is None or place.step is None:
            return place is None and bool(path)
        return place.kind in _SHOWN or self.verbose or (place.kind in ("for_each", "repeat") and self.is_crowded(path))

    def is_crowded(self, path: str) -> bool:
        """A loop of which items were left out: that it is over is told for all of them."""
        return not self.verbose and self.crowd.loop_of(f"{path}#{max(0, self.crowd.tally(path).done - 1)}") == path

    def is_left_out(self, path: str) -> bool:
        """One of many: it is only counted."""
        return not self.verbose and self.crowd.loop_of(path) is not None

    def went_wrong(self, path: str) -> bool:
        """Whether something that went wrong here gets a line."""
        return self.verbose or self.crowd.is_told(path)

    @property
    def stands(self) -> dict[str, None]:
        return self._stands
