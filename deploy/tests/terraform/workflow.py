"""Runs the state machine of deploy/state-machine with functions behind its steps."""  # noqa: INP001  a script's folder

import asyncio
import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from on_resources import Site
from tally import Tally

STEPS = ("fetch_crm_contact", "analyze_sentiment", "update_ticket_system")
NOWHERE = "arn:aws:lambda:{}:123456789012:function:none"
END_SECONDS = 30


async def check(tally: Tally, site: Site, asl: Path) -> None:
    """Let all steps work, one fail, the last one fail, and leave two out."""
    async with site.client("stepfunctions") as workflows:
        functions = await _functions(site)
        broken = functions | {"analyze_sentiment": NOWHERE.format(site.aws["AWS_REGION"])}
        no_ticket = functions | {"update_ticket_system": NOWHERE.format(site.aws["AWS_REGION"])}
        for name, arns, steps, wanted in (
            ("all steps done", functions, STEPS, ("SUCCEEDED", "done", "done", "done")),
            ("failed lookup marked", broken, STEPS, ("SUCCEEDED", "done", "failed", "done")),
            ("failed ticket", no_ticket, STEPS, ("FAILED", "TicketNotUpdated")),
            ("two left out", functions, STEPS[:1], ("SUCCEEDED", "done", "not_wanted", None)),
        ):
            ran = await _run(workflows, name.replace(" ", "-"), _definition(asl, arns), steps)
            tally.equal(f"workflow: {name}", ran, wanted)


async def _functions(site: Site) -> dict[str, str]:
    trust = {"Version": "2012-10-17", "Statement": []}
    async with site.client("iam") as iam, site.client("lambda") as functions:
        role = await iam.create_role(RoleName="steps", AssumeRolePolicyDocument=json.dumps(trust))
        arns = {}
        for step in STEPS:
            made = await functions.create_function(
                FunctionName=step,
                Runtime="python3.12",
                Role=role["Role"]["Arn"],
                Handler="index.handler",
                Code={"ZipFile": _code()},
            )
            arns[step] = made["FunctionArn"]
    return arns


def _code() -> bytes:
    """Return code that is never run: the emulator has its own answer."""
    archive = BytesIO()
    with ZipFile(archive, "w") as content:
        content.writestr("index.py", "def handler(event, context): return {}")
    return archive.getvalue()


def _definition(asl: Path, functions: Mapping[str, str]) -> str:
    """Fill in the file as the Terraform module does."""
    text = asl.read_text().replace("${partition}", "aws")
    for step, arn in functions.items():
        text = text.replace(f"${{{step}}}", arn)
    return text


async def _run(workflows: Any, name: str, definition: str, steps: Iterable[str]) -> tuple[Any, ...]:
    """Return the status, and per step what became of it; or the error of the whole."""
    machine = await workflows.create_state_machine(
        name=name, definition=definition, roleArn="arn:aws:iam::123456789012:role/steps"
    )
    given = {
        "conversationId": "c",
        "timestamp": "2026-03-02T12:00:00.000Z",
        "callDetails": {},
        "detailsStatus": "complete",
        "enrichmentSteps": list(steps),
        "correlationId": None,
    }
    started = await workflows.start_execution(
        stateMachineArn=machine["stateMachineArn"], input=json.dumps(given)
    )
    async with asyncio.timeout(END_SECONDS):
        run = await _ended(workflows, started["executionArn"])
    if run["status"] != "SUCCEEDED":
        return run["status"], run.get("error")
    output = json.loads(run["output"])
    found = output["enrichment"]
    ticket = output.get("ticket", {}).get("status")
    return run["status"], found["crmContact"]["status"], found["sentiment"]["status"], ticket


async def _ended(workflows: Any, arn: str) -> Mapping[str, Any]:
    while True:
        run: Mapping[str, Any] = await workflows.describe_execution(executionArn=arn)
        if run["status"] != "RUNNING":
            return run
        await asyncio.sleep(0.2)
