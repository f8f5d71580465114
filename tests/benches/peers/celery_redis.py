"""A Celery task with Redis as broker and store of results, two worker processes. No isolation; its time limits end a whole
worker process.

    PEER_URL=redis://… python celery_redis.py             makes rounds of load, and starts the workers
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import macros
import rounds
from celery import Celery

URL = os.environ["PEER_URL"]
app = Celery("celery_redis", broker=URL, backend=URL)
app.conf.update(task_serializer="json", worker_hijack_root_logger=False, broker_connection_retry_on_startup=True)


@app.task(name="render")
def render(script, context):
    return macros.MACROS[script](context)


async def call(script, context):
    # Results come by publish and subscribe; `get` blocks, so that each call outstanding has a thread.
    return await asyncio.to_thread(lambda: render.delay(script, context).get(timeout=60))


async def main():
    from concurrent.futures import ThreadPoolExecutor

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(80))
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "celery_redis", "worker", "--concurrency", "2", "--loglevel", "ERROR"]
    worker = subprocess.Popen(command, cwd=Path(__file__).parent, stdout=sys.stderr)
    try:
        await call("simple", {"params": {"name": "reader"}})
        await rounds.serve(call)
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    asyncio.run(main())
