"""The event loop of a pool's child: coroutine functions run on it, in the main thread.

Only there can a signal end a coroutine that blocks instead of awaiting.
"""

import asyncio
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from queue import SimpleQueue
from types import FrameType
from typing import Any

from spigot.worker.running.function_call import Interrupted
from spigot.worker.running.outcome import Outcome
from spigot.worker.running.prepared_call import PreparedCall

from .attempt import Attempt, current_attempt
from .named_places import NamedPlaces
from .shared_table import INTERRUPT, LOOP_BEAT, SharedTable

BEAT_SECONDS = 0.1

PATIENCE_SECONDS = 5.0
"""How long a coroutine may keep the loop before it is interrupted."""

OWN_PATIENCE_SECONDS = 0.3
"""The same for one that is to end anyway."""

INTERRUPT_SIGNAL = signal.SIGUSR2

Run = Callable[[Attempt, PreparedCall], Coroutine[Any, Any, Outcome]]
Fail = Callable[[Attempt, Exception], None]


class JobLoop:
    """Runs coroutine functions in their slots.

    Args:
        table: Shared with the parent.
        names: Names of places, for who sees only a stack.
        run: Runs one attempt, from its slot to its outcome.
        fail: Ends one that could not be started.
    """

    def __init__(self, table: SharedTable, names: NamedPlaces, run: Run, fail: Fail) -> None:
        self._table = table
        self._names = names
        self._run = run
        self._fail = fail
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(self._make_task)
        self._loop.set_default_executor(_WarmExecutor(names))
        self._tasks: set[asyncio.Task[None] | None] = set()
        self._planned: deque[tuple[Attempt, PreparedCall, Context]] = deque()
        self._is_told = False

    def live(self) -> None:
        """Run the loop to the end of the process; only in the main thread."""
        signal.signal(INTERRUPT_SIGNAL, self._interrupt_running)
        asyncio.set_event_loop(self._loop)
        self._beat()
        self._loop.run_forever()

    def plan(self, attempt: Attempt, prepared: PreparedCall) -> None:
        """Start an attempt in its slot, in the present context; from any thread."""
        self._planned.append((attempt, prepared, copy_context()))
        if not self._is_told:  # one wake-up will do for all that come before the loop sees to it
            self._is_told = True
            self._loop.call_soon_threadsafe(self._plan_all)

    def is_silent(self, seconds: float) -> bool:
        """Return whether the loop has neither come round nor begun a job for so long."""
        return time.monotonic() - self._table.beat_at(LOOP_BEAT) > seconds

    def interrupt_silence(self) -> None:
        """Send the signal that ends a coroutine which keeps the loop; from another thread."""
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, INTERRUPT_SIGNAL)

    def _plan_all(self) -> None:
        self._is_told = False  # first: who adds one from now on tells again
        while self._planned:
            attempt, prepared, context = self._planned.popleft()
            if attempt.job.start_at <= self._loop.time():
                self._start(attempt, prepared, context)
            else:
                at = attempt.job.start_at
                self._loop.call_at(at, self._start, attempt, prepared, context)

    def _start(self, attempt: Attempt, prepared: PreparedCall, context: Context) -> None:
        followed = self._follow(attempt, prepared)
        try:
            context.run(current_attempt.set, attempt)
            task = self._loop.create_task(followed, context=context)
        except Exception as error:  # it must neither delay others nor be without an end
            followed.close()
            self._fail(attempt, error)
            return
        self._tasks.add(task)
        attempt.kick = lambda: self._kick(attempt, task)

    async def _follow(self, attempt: Attempt, prepared: PreparedCall) -> None:
        self._note_life()  # many may begin in one round, and each keep the loop for a moment
        try:
            await self._run(attempt, prepared)
        finally:
            self._tasks.discard(asyncio.current_task())

    def _kick(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        def cancel() -> None:
            if attempt.reason is not None:  # or the signal below has done it
                task.cancel()

        self._loop.call_soon_threadsafe(cancel)
        if self.is_silent(OWN_PATIENCE_SECONDS):
            self.interrupt_silence()

    def _note_life(self) -> None:
        self._table.beat(LOOP_BEAT, time.monotonic())

    def _beat(self) -> None:
        self._note_life()
        self._loop.call_later(BEAT_SECONDS, self._beat)

    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any
    ) -> asyncio.Task[Any]:
        """Make a task; one of a job's own carries the name of its place in its stack."""
        attempt = current_attempt.get()
        if attempt is not None and asyncio.iscoroutine(coroutine):
            coroutine = self._names.awaiting(attempt.place, coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    def _interrupt_running(self, number: int, frame: FrameType | None) -> None:
        """End the coroutine that runs now, if it is to end or keeps the loop for too long."""
        attempt = current_attempt.get()  # the context is that of the task which the signal met
        told = self._table[INTERRUPT]
        self._table[INTERRUPT] = 0
        if attempt is None or not attempt.has_begun or attempt.is_over:
            return
        if attempt.reason is None and (told or self.is_silent(PATIENCE_SECONDS)):
            attempt.interrupt(_blocked())
        if attempt.reason is not None:
            raise Interrupted


def _blocked() -> Outcome:
    return Outcome(
        "failed",
        error="BlockedLoop: the coroutine did not await anything for seconds, and kept all others "
        "of its process from running; call what blocks by asyncio.to_thread",
    )


class _WarmExecutor(ThreadPoolExecutor):
    """The loop's executor; it never runs out of threads, however many calls hang.

    asyncio's own has a few threads for all jobs, and looks names of hosts up in them as well.
    """

    def __init__(self, names: NamedPlaces) -> None:
        super().__init__(max_workers=1)
        self._names = names
        self._idle: SimpleQueue[SimpleQueue[Callable[[], None]]] = SimpleQueue()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in a thread of its own."""
        future: Future[Any] = Future()
        attempt = current_attempt.get()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                if attempt is None:
                    future.set_result(fn(*args, **kwargs))
                else:
                    future.set_result(self._names.call(attempt.place, lambda: fn(*args, **kwargs)))
            except BaseException as error:
                future.set_exception(error)

        self._thread_for(call)
        return future

    def _thread_for(self, call: Callable[[], None]) -> None:
        if not self._idle.empty():
            self._idle.get().put(call)
            return
        inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        inbox.put(call)
        threading.Thread(target=self._serve, args=(inbox,), name="to-thread", daemon=True).start()

    def _serve(self, inbox: SimpleQueue[Callable[[], None]]) -> None:
        while True:
            inbox.get()()
            self._idle.put(inbox)
