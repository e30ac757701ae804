"""Many small requests at once, and work that is done ahead."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["map_threaded", "prefetch"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _End:
    """No item comes any more, or none because of an error."""

    error: BaseException | None = None


def map_threaded(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """`map` with several calls at a time and few results waiting. Raises what `function` raises.

    Args:
        function: what is done with each item.
        items: any number of them.
        threads: calls at a time.
    """
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def prefetch(items: Iterable[_Item], depth: int = 2) -> Generator[_Item, None, None]:
    """The same items, made in a thread of their own while the caller works. Raises what making them raises.

    Args:
        items: made one after the other.
        depth: how many may wait.
    """
    waiting: queue.Queue[_Item | _End] = queue.Queue(depth)
    unwanted = threading.Event()

    def put(value: _Item | _End) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(value, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(_End())
        except BaseException as error:  # whatever it is, the caller is to see it
            put(_End(error))

    thread = threading.Thread(target=make, daemon=True, name="ahead")
    thread.start()
    try:
        while True:
            value = waiting.get()
            if not isinstance(value, _End):
                yield value
            elif value.error is not None:
                raise value.error
            else:
                return
    finally:
        unwanted.set()
        thread.join()
