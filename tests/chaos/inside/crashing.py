"""`worker run`, but that two kinds of messages end the process on the spot, as a fault in C would.

One kills in its handler, one by its body, before anything is known of it. Which ones, `KILLERS`
says: their conversations, by commas.
"""

import os
from functools import partial

from msgspec.structs import replace

from worker.app import intake
from worker.app import main as composition
from worker.cli.run import run

STATUS = 139
"""What a shell calls an end by SIGSEGV."""

IN_HANDLER, BY_BODY = os.environ["KILLERS"].split(",")


async def build_routes(build, context):
    """Build the product's own routes, each behind a handler that may kill."""
    routes = await build(context)
    return {job: replace(one, run=partial(_run, one.run)) for job, one in routes.items()}


async def _run(run, event):
    if event.conversation_id == IN_HANDLER:
        os._exit(STATUS)
    return await run(event)


def reading_of(build, settings):
    """Return the product's own reading, of bodies that may kill."""
    reading = build(settings)
    return replace(reading, parse=partial(_parse, reading.parse))


def _parse(parse, body):
    if BY_BODY in body:
        os._exit(STATUS)
    return parse(body)


composition.build_routes = partial(build_routes, composition.build_routes)
intake.reading_of = partial(reading_of, intake.reading_of)
run()
