"""asyncio without sockets and threads: a loop that waits on the pipe to the node and on nothing else.

It is what `asyncio.run` and its like use in cells, and what runs asynchronous entrypoints. The waiting itself, and the
frames, live in the cell's extension module.
"""

import asyncio
import weakref
from asyncio import base_events, events

from callboard.errors import ActionError

# The node, as the extension module has it; set in each cell.
node = None
# The futures of questions that wait for their answers, by number.
_asked = {}
# The loop of asynchronous entrypoints; it lives as long as the cell, so that a lock or a queue may outlive a call.
_main = None


class _Selector:
    """What the loop waits with."""

    def select(self, timeout):
        """What has come within that many seconds."""
        return node.select(timeout)


class Loop(base_events.BaseEventLoop):
    """An event loop whose only outside is the node."""

    def __init__(self, *selector):
        super().__init__(*selector)
        if not selector:
            self._selector = _Selector()
        # What may hold an exception that nobody looks at.
        self._made = weakref.WeakSet()
        self._runs = None

    def create_task(self, coro, **more):
        """As every loop has it."""
        task = super().create_task(coro, **more)
        self._made.add(task)
        return task

    def create_future(self):
        """As every loop has it."""
        future = super().create_future()
        self._made.add(future)
        return future

    def run_until_complete(self, future):
        """As every loop has it; what is run is what a cancelled call cancels."""
        own = not asyncio.isfuture(future)
        future = asyncio.ensure_future(future, loop=self)
        if own:
            future._log_destroy_pending = False
        before, self._runs = self._runs, future
        try:
            return super().run_until_complete(future)
        finally:
            self._runs = before

    def run_in_executor(self, executor, func, *args):
        """Not here: there are no threads."""
        raise RuntimeError("a cell has one thread: call the function itself instead of asyncio.to_thread or run_in_executor")

    def close(self):
        """As every loop has it."""
        if not self.is_closed() and not self.is_running():
            self._tell_unseen()
        super().close()

    def settle(self):
        """Ends what a call left behind, so that nothing of it comes up in the next one."""
        left = asyncio.all_tasks(self)
        if left:
            for task in left:
                task.cancel()
            self.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._hang_up()
        if self._asyncgens:
            self.run_until_complete(self.shutdown_asyncgens())
            self._asyncgens_shutdown_called = False
        for handle in [*self._scheduled, *self._ready]:
            handle.cancel()
        self._scheduled.clear()
        self._ready.clear()
        self._tell_unseen()

    def _hang_up(self):
        """Ends connections, where there can be any."""

    def _tell_unseen(self):
        """Tells of exceptions that nobody looked at now, rather than whenever they are collected."""
        for future in list(self._made):
            if future.done() and not future.cancelled() and future._log_traceback:
                name = type(future).__name__
                exception = future.exception()
                context = {"message": f"{name} exception was never retrieved", "exception": exception, "future": future}
                self.call_exception_handler(context)
        self._made.clear()

    def _process_events(self, event_list):
        for number, data, failed in event_list:
            if number is None:
                if self._runs is not None:
                    self._runs.cancel()
                continue
            future = _asked.pop(number, None)
            if future is None or future.done() or future.get_loop().is_closed():
                continue
            if failed is None:
                future.set_result(data)
            else:
                future.set_exception(ActionError(*failed))

    def _write_to_self(self):
        # Whoever calls from another thread wakes a loop by this; there is no other thread.
        pass


def run(coroutine):
    """Runs what an asynchronous entrypoint returned, to its end and that of all it left behind."""
    global _main
    if _main is None or _main.is_closed():
        _main = Loop()
    try:
        return _main.run_until_complete(coroutine)
    finally:
        _main.settle()


async def ask(payload):
    """What the node answers; giving up the wait gives up the question."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise RuntimeError("the running event loop is not a cell's own: it cannot hear the node")
    if not node.may_ask():
        raise ActionError("PY_ACTION_FAILED", "capability_not_granted", "this script was not granted llm")
    number = node.ask(payload)
    future = _asked[number] = loop.create_future()
    try:
        return await future
    finally:
        if _asked.pop(number, None) is not None:
            node.drop(number)


def _install():
    """Makes this the loop that asyncio takes by itself."""
    base = getattr(events, "_BaseDefaultEventLoopPolicy", None) or events.BaseDefaultEventLoopPolicy

    class Policy(base):
        """Whoever asks for a new loop gets one that works here."""

        _loop_factory = Loop

    # The module's own place for it: the function that sets it is to go from Python.
    events._event_loop_policy = Policy()
    for name in ("SelectorEventLoop", "EventLoop"):
        if hasattr(asyncio, name):
            setattr(asyncio, name, Loop)


_install()
