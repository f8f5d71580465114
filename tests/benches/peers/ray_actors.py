"""Two Ray actors on this machine, called in turn. No isolation between scripts, no deadlines.

    python ray_actors.py                                  makes rounds of load
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

import rounds

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_raylet_start_wait_time_s="120", PYTHONPATH=str(Path(__file__).parent))

import ray  # noqa: E402


@ray.remote
class Renderer:
    def render(self, script, context):
        import macros

        return macros.MACROS[script](context)


async def main():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", _node_ip_address="127.0.0.1")
    actors = itertools.cycle([Renderer.options(num_cpus=0).remote() for _ in range(2)])

    async def call(script, context):
        return await next(actors).render.remote(script, context)

    try:
        await call("simple", {"params": {"name": "reader"}})
        await rounds.serve(call)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    asyncio.run(main())
