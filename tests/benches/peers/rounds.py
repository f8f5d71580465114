"""Rounds of load for peers whose protocol is their own: the program that measures writes a line of JSON for each round and
reads the calls a second.
"""

import asyncio
import json
import sys
import time


async def measure(call, request, count, outstanding):
    """Calls a second with so many outstanding; each must return HTML."""
    left = iter(range(count))

    async def one_after_the_other():
        for _ in left:
            data = await call(request["script"], request["context"])
            if "html" not in data:
                raise ValueError(f"not a macro's result: {data}")

    begun = time.perf_counter()
    await asyncio.gather(*(one_after_the_other() for _ in range(outstanding)))
    return count / (time.perf_counter() - begun)


async def serve(call):
    """Answers lines until there are no more."""
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        print(await measure(call, told["request"], told["count"], told["outstanding"]), flush=True)
