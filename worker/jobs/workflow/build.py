"""Builds the conversation workflow."""

from worker.app.genesys import GenesysParts
from worker.app.workshop import Workshop, now
from worker.clients.aws.session import ClientLimits
from worker.jobs.workflow.executions import DetailsStore, Workflows
from worker.jobs.workflow.handler import StartWorkflow, WorkflowRules


async def build(workshop: Workshop, genesys: GenesysParts) -> StartWorkflow:
    """Return the handler, its state machine and the bucket for large inputs."""
    settings = workshop.settings
    client = await workshop.aws_client(
        "stepfunctions", ClientLimits(pool=10, read_seconds=5, attempts=3)
    )
    arn = settings.step_functions.arn or ""
    return StartWorkflow(
        details=genesys.details,
        workflows=Workflows(client, arn, workshop.upstreams.aws("stepfunctions")),
        store=(await _store(workshop)).put,
        rules=WorkflowRules(
            steps=settings.workflow.steps, settle_seconds=settings.workflow.settle_seconds
        ),
        now=now,
    )


async def _store(workshop: Workshop) -> DetailsStore:
    limits = ClientLimits(pool=10, read_seconds=30, attempts=4)
    client = await workshop.aws_client("s3", limits)
    bucket = workshop.settings.workflow.details_bucket
    return DetailsStore(client, bucket, workshop.upstreams.aws("s3_details"))
