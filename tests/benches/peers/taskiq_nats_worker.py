"""A taskiq task with taskiq-nats: broker and results over NATS, one worker process. No isolation.

    PEER_URL=nats://… python taskiq_nats_worker.py        makes rounds of load, and starts the worker
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import macros
import rounds
from taskiq.exceptions import TaskiqResultTimeoutError
from taskiq_nats import NatsBroker, NATSObjectStoreResultBackend

URL = os.environ["PEER_URL"]
broker = NatsBroker([URL], subject="peers.taskiq").with_result_backend(NATSObjectStoreResultBackend([URL], keep_results=False))


@broker.task(task_name="render")
async def render(script: str, context: dict) -> dict:
    return macros.MACROS[script](context)


async def call(script, context, timeout=30):
    task = await render.kiq(script, context)
    # It looks again and again whether the result is in the store; this is often.
    result = await task.wait_result(check_interval=0.001, timeout=timeout)
    return result.return_value


async def first_call():
    """Returns when the worker answers: what was sent before it listens is lost."""
    while True:
        try:
            return await call("simple", {"params": {"name": "reader"}}, timeout=1)
        except TaskiqResultTimeoutError:
            pass


async def main():
    await broker.startup()
    command = [str(Path(sys.executable).parent / "taskiq"), "worker", "taskiq_nats_worker:broker", "--workers", "1", "--log-level", "ERROR"]
    worker = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=sys.stderr)
    try:
        await asyncio.wait_for(first_call(), 60)
        await rounds.serve(call)
    finally:
        worker.terminate()
        worker.wait()
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
