"""Checks the module, applies its example to moto, lets the worker work there, and destroys it."""  # noqa: INP001  a script's folder

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import on_resources
import own_job
import workflow
from on_resources import Site
from tally import Tally, say

REGION = "eu-west-1"
ACCOUNT = "123456789012"
PARTNER = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/test"
START_SECONDS = 30
TERRAFORM_SECONDS = 420
"""Four times what the longest command takes: the provider would wait twenty minutes for an answer
that moto never gives."""
LIMITS = (
    "the collector itself: a stand-in took by OTLP what the worker sent, and CloudWatch is moto's",
    "firing of schedules, evaluation of alarms, scaling, start of tasks: moto only keeps these",
    "IAM and queue policies in force: moto does not enforce them; deploy/tests/iam reads them",
    "a second plan without changes: moto answers some attributes in another form",
)


def main() -> int:
    """Run everything; 0 if all passed."""
    work = Path(sys.argv[1])
    module, example = work / "terraform", work / "terraform/examples/complete"
    tally = Tally()
    tally.that("terraform fmt -check", _terraform(module, "fmt", "-check", "-recursive"))
    tally.that("terraform validate: module", _terraform(module, "validate"))
    for one in sorted(example.parent.iterdir()):
        tally.that(f"terraform validate: examples/{one.name}", _terraform(one, "validate"))
    tally.that("terraform test, with a mocked provider", _terraform(module, "test"))
    with _moto(work) as url:
        asyncio.run(_check_emulator(tally, Site({}, url, REGION)))
        _apply_and_destroy(tally, example, url)
    for limit in LIMITS:
        say(f"NOT RUN: {limit}")
    return tally.end()


def _apply_and_destroy(tally: Tally, example: Path, url: str) -> None:
    variables = example / "emulator.tfvars.json"
    variables.write_text(json.dumps(_variables(url, example.parents[2])))
    options = ("-auto-approve", "-input=false", "-parallelism=20", f"-var-file={variables.name}")
    problems = _terraform(example, "apply", *options)
    tally.that("terraform apply of examples/complete", problems)
    try:
        if not problems:
            work = example.parents[2]
            asyncio.run(_check_resources(tally, Site(_outputs(example), url, REGION), work))
    finally:
        tally.that("terraform destroy", _terraform(example, "destroy", *options))


async def _check_emulator(tally: Tally, site: Site) -> None:
    """See that setting one attribute leaves another: what moto loses, the provider waits for."""
    async with site.client("sqs") as sqs:
        queue = (await sqs.create_queue(QueueName="attributes"))["QueueUrl"]
        statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        for attributes in ({"Policy": policy}, {"VisibilityTimeout": "7"}):
            await sqs.set_queue_attributes(QueueUrl=queue, Attributes=attributes)
        asked = ["Policy", "VisibilityTimeout"]
        found = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=asked)
        await sqs.delete_queue(QueueUrl=queue)
    wanted = {"Policy": policy, "VisibilityTimeout": "7"}
    tally.equal("the emulator keeps what is set one by one", found["Attributes"], wanted)


async def _check_resources(tally: Tally, site: Site, work: Path) -> None:
    await workflow.check(tally, site, work / "state-machine/enrich_conversation.asl.json")
    await on_resources.check(tally, site, work)


def _variables(url: str, work: Path) -> dict[str, Any]:
    _make_partner_source(url)
    # All that the module is given of the job; topic, rule, queue and permissions follow.
    own = [job for job in own_job.catalogue(work) if job["name"] == own_job.NAME]
    return {
        "endpoint": url,
        "region": REGION,
        "deletion_protection": False,
        "partner_event_source_name": PARTNER,
        "settings": {
            "GENESYS_ACTION_ID": "custom_-_0c0ffee0-0000-4000-8000-000000000001",
            "CRM_WEBHOOK_URL": "https://crm.example/hook",
            **own_job.SETTINGS,
        },
        "additional_jobs": own,
    }


def _make_partner_source(url: str) -> None:
    """Do Genesys Cloud's part: offer the event source to the account."""

    async def make() -> None:
        async with Site({}, url, REGION).client("events") as bus:
            await bus.create_partner_event_source(Name=PARTNER, Account=ACCOUNT)

    asyncio.run(make())


def _outputs(example: Path) -> dict[str, Any]:
    command = ("terraform", f"-chdir={example}", "output", "-json", "worker")
    outputs: dict[str, Any] = json.loads(subprocess.check_output(command))  # noqa: S603  our own arguments
    return outputs


def _terraform(folder: Path, *arguments: str) -> Sequence[str]:
    """Run Terraform; return the end of its output if it fails, else nothing."""
    began = time.monotonic()
    command = (
        "terraform",
        f"-chdir={folder}",
        *arguments,
        *(() if arguments[0] == "fmt" else ("-no-color",)),
    )
    code, output = _ended(command)
    summary = [line for line in output.splitlines() if "complete!" in line or "passed," in line]
    last = f"{summary[-1].strip()} " if summary else ""
    say(f"       terraform {arguments[0]}: {last}({time.monotonic() - began:.0f} s)")
    return () if code == 0 else (f"ended with {code}", *output[-6000:].splitlines())


def _ended(command: Sequence[str]) -> tuple[int | None, str]:
    """Run a command to its end or to its limit; return its exit code, or None, and its output."""
    try:
        run = subprocess.run(  # noqa: S603  our own arguments
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=TERRAFORM_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        return None, (late.stdout or b"").decode() + f"ended after {late.timeout:.0f} s"
    return run.returncode, run.stdout.decode()


@contextmanager
def _moto(work: Path) -> Iterator[str]:
    """Serve moto; yield its URL."""
    script = Path(__file__).with_name("moto_for_terraform.py")
    with (work / "moto.log").open("wb") as log:
        command = (sys.executable, str(script))
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603  ours
    try:
        url = server.stdout.readline().strip() if server.stdout else ""
        if not url:
            raise RuntimeError((work / "moto.log").read_text()[-2000:])
        yield url
    finally:
        server.terminate()
        server.wait(START_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
