"""Tasks and the order of their states.  Pure."""

from __future__ import annotations

import msgspec

from agent.messages.orders import Task, TaskState

OPEN_MAX = 20
STEPS: dict[str, TaskState] = {
    "accept": TaskState.ACCEPTED, "arrive": TaskState.ARRIVED, "done": TaskState.DONE,
    "decline": TaskState.DECLINED, "cancel": TaskState.CANCELLED,
}  # fmt: skip
_FOLLOWS: dict[TaskState, frozenset[str]] = {
    TaskState.GIVEN: frozenset({"accept", "arrive", "done", "decline", "cancel"}),
    TaskState.ACCEPTED: frozenset({"arrive", "done", "decline", "cancel"}),
    TaskState.ARRIVED: frozenset({"done", "cancel"}),
}
"""What may be said of a task in each state; in the others it is over."""


class Tasks:
    """Those that are not over, in the order in which they came."""

    def __init__(self) -> None:
        self.open: dict[str, Task] = {}

    def put(self, task: Task) -> None:
        """ValueError: too many are open."""
        if len(self.open) >= OPEN_MAX:
            raise ValueError(f"{OPEN_MAX} tasks are open already")
        self.open[task.id] = task

    def step(self, name: str, step: str, by: str, note: str, t: int) -> Task:
        """The task as it is from now on.  LookupError: none such is open; ValueError: this does
        not follow on its state."""
        task = self.open.get(name)
        if task is None:
            raise LookupError(f"no task {name!r} is open")
        if step not in _FOLLOWS[task.state]:
            raise ValueError(f"the task is {task.state.value!r}, on which {step!r} does not follow")
        made = msgspec.structs.replace(
            task, state=STEPS[step], changed=t, changed_by=by, note=note or task.note
        )
        if made.state in _FOLLOWS:
            self.open[name] = made
        else:
            del self.open[name]
        return made

    @property
    def new(self) -> list[Task]:
        """Those which nobody has accepted."""
        return [task for task in self.open.values() if task.state is TaskState.GIVEN]
