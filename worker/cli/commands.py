"""All commands; each is a module or a package of its own here."""

from collections.abc import Callable

import typer

from worker.cli import (
    backfill,
    check,
    console,
    demo,
    dlq,
    inspect,
    jobs,
    report,
    run,
    send,
    settings,
    source,
    status,
    trace,
)

EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    run.run: (
        "worker run",
        "worker --env-file .env run",
        "LOG_FORMAT=json SQS_CONCURRENCY=128 worker run",
    ),
    demo.demo: ("worker demo", "worker demo --events 1000 --keep demo", "worker demo --serve"),
    check.check: ("worker check", "worker check --strict", "worker check --json"),
    check.explain: ("worker explain SQS05", "worker explain"),
    inspect.inspect: (
        "worker inspect event.json",
        "worker inspect event.json --crm record.json --schema flow.json",
        "worker inspect event.json --live",
        "worker inspect event.json --live --body --json",
    ),
    send.send: (
        "worker send event.json",
        "worker send events.jsonl --queue-url https://sqs.eu-west-1.amazonaws.com/1/q",
        "jq -c . events.json | worker send -",
    ),
    jobs.jobs: ("worker jobs", "worker jobs --json"),
    jobs.new_job: (
        "worker new-job presence",
        "worker new-job queue_alerts --topic v2.routing.queues.{id}.users",
    ),
    settings.schema: (
        "worker schema",
        "worker schema --job sentiment",
        "worker schema --asyncapi",
    ),
    settings.settings: (
        "worker settings",
        "worker settings sqs_ --changed",
        "worker settings --format env",
    ),
    status.status: (
        "worker status",
        "worker status --watch --url http://worker.default.svc.cluster.local:9464",
        "worker status --url http://10.0.0.1:9464 --url http://10.0.0.2:9464 --json",
    ),
    console.console: (
        "worker console",
        "worker console --url http://worker.default.svc.cluster.local:9464",
        "worker --env-file .env console --allow-changes",
    ),
    backfill.backfill: (
        "worker backfill --from 2026-03-01 --to 2026-03-02",
        "worker backfill --from 2026-03-01T08Z --to 2026-03-01T12Z --apply",
        "worker backfill --from 2026-03-01 --to 2026-03-02 --rate 10 --apply --json",
    ),
    trace.trace: (
        "worker trace c0ffee00-0000-4000-8000-000000000001",
        "worker trace c0ffee00-0000-4000-8000-000000000001 --json",
    ),
    run.health: ("worker health", "worker health --url http://127.0.0.1:9464/readyz"),
}
"""The commands that are one function, in the order of the help, with examples of each."""

GROUPS: dict[str, typer.Typer] = {"dlq": dlq.app, "report": report.app, "source": source.app}
"""Those that have commands of their own."""
