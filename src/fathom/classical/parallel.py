"""How work is split over threads.

numba's own `parallel=True` is not used: its threading layers clash with torch's OpenMP in one
process, and parallel kernels compile and load slowly. Kernels release the GIL instead, and plain
Python threads call them on blocks of the image. The blocks never share what they write and all
arithmetic is exact, so the result is the same for any number of threads.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fathom.core.errors import UsageError

_lock = threading.RLock()
_pool: ThreadPoolExecutor | None = None


def thread_count(threads: int | None) -> int:
    """`threads`, or without it the number of processors this process may use.

    Raises `UsageError` for a number below 1.
    """
    if threads is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UsageError(
            "is no number of threads", field="threads", value=threads, expected="1 or more"
        )
    return threads


def run_blocks(call: Callable[[int], None], count: int, threads: int) -> None:
    """call(i) for every i in 0..count-1, in any order, on up to `threads` threads."""
    lock = threading.Lock()
    numbers = iter(range(count))

    def work() -> None:
        while True:
            with lock:
                i = next(numbers, None)
            if i is None:
                return
            call(i)

    _together(work, min(threads, count))


def run_wavefront(call: Callable[[int, int], None], rows: int, columns: int, threads: int) -> None:
    """call(row, column) for every cell of a grid, each after its left and its upper neighbour.

    A thread takes the next row and walks along it, waiting where the row above is not far
    enough. Rows are handed out in order, so the row waited for is always being worked on.
    """
    moved = threading.Condition()
    done = [0] * rows
    numbers = iter(range(rows))
    failed = False

    def walk(row: int) -> None:
        for column in range(columns):
            if row > 0:
                with moved:
                    moved.wait_for(lambda: failed or done[row - 1] > column)  # noqa: B023
                    if failed:
                        return
            call(row, column)
            with moved:
                done[row] = column + 1
                moved.notify_all()

    def work() -> None:
        nonlocal failed
        while True:
            with moved:
                row = None if failed else next(numbers, None)
            if row is None:
                return
            try:
                walk(row)
            except BaseException:
                with moved:
                    failed = True
                    moved.notify_all()
                raise

    _together(work, min(threads, rows))


def _together(work: Callable[[], None], threads: int) -> None:
    """Runs `work` in this thread and in `threads - 1` helpers; the first error is raised."""
    if threads <= 1:
        work()
        return
    helpers = [_shared_pool().submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        # a helper that never got a thread is not needed any more; waiting for it could be for
        # ever where this thread itself holds one of the pool's
        begun = [helper for helper in helpers if not helper.cancel()]
        errors = [e for e in (helper.exception() for helper in begun) if e is not None]
    if errors:
        raise errors[0]


def _shared_pool() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603  # one pool a process, made when first needed
    with _lock:
        if _pool is None:
            workers = max(8, 2 * (os.cpu_count() or 1))
            _pool = ThreadPoolExecutor(workers, thread_name_prefix="fathom")
        return _pool


def _forget_pool() -> None:
    # threads do not survive a fork; the child makes its own pool
    global _pool, _lock
    _pool, _lock = None, threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
