"""`worker run`, but that two kinds of messages end the process on the spot, as a fault in C would.

One kills in its handler, one by its body, before anything is known of it. Which ones, `KILLERS`
says: their conversations, by commas.
"""

import os
from functools import partial

from worker.app import intake
from worker.app import main as composition
from worker.cli.main import app

STATUS = 139
"""What a shell calls an end by SIGSEGV."""

IN_HANDLER, BY_BODY = os.environ["KILLERS"].split(",")


async def build_router(build, workshop, genesys):
    """Build the product's own routes, each behind a handler that may kill."""
    router = await build(workshop, genesys)
    for kind, routes in list(router._routes.items()):
        del router._routes[kind]
        for route in routes:
            run = partial(_run, route.run)
            router.on(kind, route.job, run, needs=route.needs, proof=route.proof)
    return router


async def _run(run, event):
    if event.conversation_id == IN_HANDLER:
        os._exit(STATUS)
    return await run(event)


def open_events(read, body, *arguments, **options):
    """Read a body that may kill."""
    if BY_BODY in body:
        os._exit(STATUS)
    return read(body, *arguments, **options)


composition.build_router = partial(build_router, composition.build_router)
intake.open_events = partial(open_events, intake.open_events)
app(["run"])
