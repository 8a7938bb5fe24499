"""Walk every reachable state of a small model, breadth first, so that the first wrong state has the shortest story."""

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

State = TypeVar("State")
Steps = Callable[[State], Iterable[tuple[str, State]]]  # what may happen next: a word for it, and the state after it
Judge = Callable[[State], str]  # what is wrong with a state, or nothing
JudgeStep = Callable[[State, State], str]


@dataclass(frozen=True)
class Exploration:
    """What was found; `wrong` is empty when nothing is."""

    states: int
    transitions: int
    wrong: str = ""
    story: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = f"{self.states:,} states, {self.transitions:,} transitions"
        return size if not self.wrong else "\n  ".join([f"{self.wrong} ({size})", *self.story])


def quick(state: type[Any]) -> type[Any]:
    """Give a NamedTuple a `_replace` that costs a third: a walk does little else."""
    place = {name: number for number, name in enumerate(state._fields)}

    def _replace(self: Any, **changed: Any) -> Any:
        values = list(self)
        for name, value in changed.items():
            values[place[name]] = value
        return tuple.__new__(state, values)

    state._replace = _replace
    return state


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Look for no garbage: every state is kept until the end, and none knows itself."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@nothing_is_garbage()
def explore(start: State, steps: Steps[State], judge: Judge[State], judge_step: JudgeStep[State]) -> Exploration:
    """Visit every state that `steps` can reach from `start`, and stop at the first that is judged wrong."""
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    queue = deque([start])
    transitions = 0

    def story(state: State) -> tuple[str, ...]:
        words: list[str] = []
        while (step := came_from[state]) is not None:
            state, word = step
            words.append(word)
        return tuple(reversed(words))

    while queue:
        state = queue.popleft()
        if wrong := judge(state):
            return Exploration(len(came_from), transitions, wrong, story(state))
        for word, after in steps(state):
            transitions += 1
            if after in came_from:
                continue
            came_from[after] = (state, word)
            if wrong := judge_step(state, after):
                return Exploration(len(came_from), transitions, wrong, story(after))
            queue.append(after)
    return Exploration(len(came_from), transitions)
