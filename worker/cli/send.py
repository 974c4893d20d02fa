"""`worker send`: puts events from files on the queue."""

import asyncio
import json
import os
from typing import Annotated

import typer


def send(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", help="JSON, one event per file, or JSON Lines; - reads stdin."
        ),
    ],
    queue_url: Annotated[
        str | None, typer.Option(help="Send there instead of SQS_QUEUE_URL.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send events to the queue; nothing is sent unless every one is JSON of at most 1 MiB.

    Where SQS_QUEUE_URL binds several queues to jobs, each event goes to those of its type.
    Exit code: 0 all sent, 1 something was not, 2 bad settings, arguments or files.
    """
    from worker.cli.sending import events_of, send_all, send_by_type
    from worker.settings import Aws, Events, Sqs, load_group
    from worker.settings.bindings import entries_of

    environ = {**os.environ, **({"SQS_QUEUE_URL": queue_url} if queue_url else {})}
    queues = entries_of(load_group(Sqs, environ).queue_url)
    events = [event for name in files for event in events_of(name)]
    aws, types = load_group(Aws, environ), load_group(Events, environ)
    if len(queues) == 1:
        sent = asyncio.run(send_all(events, queues[0].url, aws))
    else:
        sent = asyncio.run(send_by_type(events, queues, types, aws))
    if as_json:
        typer.echo(json.dumps([entry.as_dict() for entry in sent], indent=2))
    else:
        for entry in sent:
            typer.echo(entry.line(), err=entry.problem is not None)
    raise typer.Exit(1 if any(entry.problem for entry in sent) else 0)
