"""The order in which rows are made. It changes how long the stage takes, not which rows it makes."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from lengthen.common.stage.tasks import Task

Source = TypeVar("Source")


def longest_first(tasks: Iterable[Task[Source]], length: Callable[[Source], int], window: int) -> Iterator[Task[Source]]:
    """The tasks, each time the longest of the next `window` ones, which are in memory.

    So long rows begin early, and short ones fill the places at the end of the stage. Tasks that are rejected already take no time,
    and come at once: they take no place in the window.
    """
    heap: list[tuple[float, int, Task[Source]]] = []
    for number, task in enumerate(tasks):
        entry = (float("-inf") if task.rejection else -length(task.source), number, task)
        if len(heap) < window:
            heapq.heappush(heap, entry)
        else:
            yield heapq.heappushpop(heap, entry)[-1]
    while heap:
        yield heapq.heappop(heap)[-1]
