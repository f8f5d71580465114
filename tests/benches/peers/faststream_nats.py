"""A FastStream service on NATS. No isolation, no deadlines.

    python faststream_nats.py URL SUBJECT
"""

import sys

import macros
import uvloop
from faststream import FastStream
from faststream.nats import NatsBroker


def main(url, subject):
    broker = NatsBroker(url, logger=None)
    app = FastStream(broker, logger=None)

    @broker.subscriber(subject, queue="peers")
    async def render(request: dict) -> dict:
        return macros.answer(request)

    @app.after_startup
    async def ready():
        print("ready", flush=True)

    uvloop.run(app.run())


if __name__ == "__main__":
    main(*sys.argv[1:3])
