"""A service with nats-py, uvloop and orjson: the least that one can write by hand. No isolation, no deadlines.

    python nats_py.py URL SUBJECT
"""

import asyncio
import sys

import macros
import nats
import orjson
import uvloop


async def main(url, subject):
    connection = await nats.connect(url)

    async def handle(message):
        await connection.publish(message.reply, orjson.dumps(macros.answer(orjson.loads(message.data))))

    await connection.subscribe(subject, queue="peers", cb=handle)
    await connection.flush()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:3]))
