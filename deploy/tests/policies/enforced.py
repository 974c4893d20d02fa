"""Worker and commands under the policies of the module, in an AWS that enforces them."""  # noqa: INP001  a script's folder

import asyncio
import json
import re
import sys
import uuid
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import console
import effects
import traffic
from agent import agent
from cloud import BATCHES, OWN_BUS, STREAM, Cloud, actions_of, enforceable, enforcing
from tally import Tally, say

from worker.demo.process import WorkerProcess
from worker.emulators import CrmServer, WebhookSink
from worker.emulators.genesys import (
    Ended,
    GenesysCloud,
    GenesysServer,
    Spoken,
    a_conversation,
    a_flow,
)
from worker.emulators.genesys.history import History, Past, as_platform

TASK, OPERATOR = "aws_iam_role_policy.task", "aws_iam_policy.operator"
MISSED = "0ca11000-0000-4000-8000-000000000007"
"""A conversation that no event was sent of."""

BEGUN = "v2.detail.events.conversation.{id}.customer.start"
CUSTOMER = {"customerTier": "gold"}
"""What the CRM knows of the caller, and the attributes that the participant gets."""

FLOW = "0f100000-0000-4000-8000-000000000001"
EFFECT_SECONDS = 40
FIND_SECONDS = 0.2
COMMAND_SECONDS = 60


class Target(NamedTuple):
    """Where events are forwarded to, and the run of Terraform with that target."""

    run: str
    forward_to: str
    missed_here: Collection[str] = ()
    """Actions that nothing misses with another target. None: all that no other target names."""


TARGETS = (
    Target("policies", f"kinesis:{STREAM}"),
    Target(
        "firehose",
        f"firehose:{STREAM}",
        ("firehose:PutRecordBatch", "firehose:DescribeDeliveryStream"),
    ),
    # The worker's own events are put on it, too: `default` is not asked after, as it always exists.
    Target("bus", f"bus:{OWN_BUS}", ("events:DescribeEventBus", "events:ListRuleNamesByTarget")),
)

UNTRIED = "no call without an effect shows it"
"""What `worker check` says of a permission that it has neither tried nor asked IAM about."""

NOT_THERE = "InvalidAction"
"""What ministack says to StartMessageMoveTask, once the role may call it: it does not have it."""

DENIAL = re.compile("AccessDenied|not authorized|AuthorizationError")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round under one policy came to."""

    problems: Sequence[str]
    """Effects that are missing, and commands that ended otherwise than they should."""

    text: str
    """Everything that worker and commands wrote."""

    def names(self, action: str) -> bool:
        """Whether an action is named as denied."""
        return any(one in self.text for one in (action, BATCHES.get(action, action)))

    @property
    def denied(self) -> list[str]:
        """Lines that speak of a denial."""
        return [line for line in self.text.splitlines() if DENIAL.search(line)]


async def main() -> int:
    """Prove both policies; 0 if all passed."""
    work, quick = Path(sys.argv[1]), "--quick" in sys.argv
    tally = Tally()
    with enforcing(work / "ministack/bin/ministack", work / "ministack.log") as url:
        for target in TARGETS:
            cloud = Cloud(url, work / "policies.jsonl", target.run, target.forward_to)
            for address, round_ in ((TASK, worker_round), (OPERATOR, commands_round)):
                if removed := _missed_here(target, actions_of(cloud.policy(address))):
                    prove = partial(_prove, tally, cloud, address, partial(round_, cloud, work))
                    await prove(() if quick else removed)
    say("NOT RUN: the condition on events:source, which ministack does not know")
    return tally.end()


Round = Callable[[Mapping[str, Any]], Awaitable["Outcome"]]


def _missed_here(target: Target, actions: Sequence[str]) -> list[str]:
    elsewhere = {one for other in TARGETS if other is not target for one in other.missed_here}
    here = target.missed_here
    return [one for one in actions if (one in here if here else one not in elsewhere)]


async def _prove(
    tally: Tally, cloud: Cloud, address: str, round_: Round, removed: Iterable[str]
) -> None:
    where = f"{address}, to {cloud.forward_to}"
    policy = cloud.policy(address)
    whole = await round_(enforceable(policy))
    found = [*whole.problems, *whole.denied]
    tally.that(f"{where}: everything is done, nothing is denied", found)
    for action in removed:
        found = await round_(enforceable(policy, without=action))
        said = "named" if found.names(action) else "not named"
        missed = [*found.problems, *found.denied[:1]]
        tally.refused(f"{where} without {action}: {said}; {'; '.join(missed)[:160]}", missed)


class Seen(NamedTuple):
    """Where effects outside of AWS show: the webhook for chats, the platform, the ECS agent."""

    hook: WebhookSink
    genesys: GenesysCloud
    protected: Sequence[bool]


async def worker_round(cloud: Cloud, work: Path, policy: Mapping[str, Any]) -> Outcome:
    """Let the worker do all jobs under a policy, until all is done or a denial is named."""
    cloud.reset()
    log = work / f"worker-{uuid.uuid4()}.log"
    keys = cloud.keys("task", policy)
    async with platform(cloud) as (environment, *seen), agent(cloud, keys) as (ecs, protected):
        environment.update(keys, ECS_AGENT_URI=ecs)
        async with WorkerProcess(environment, log, until_ready=False) as worker:
            send(cloud)
            problems = await _settled(cloud, Seen(*seen, protected), log)
            status = await worker.page("/status")
    return Outcome(problems, log.read_text() + status)


@asynccontextmanager
async def platform(
    cloud: Cloud,
) -> AsyncIterator[tuple[dict[str, str], WebhookSink, GenesysCloud]]:
    """Serve Genesys Cloud and the CRM; give the environment of the task definition, with them.

    The webhook is the one that is called for chats.
    """
    async with GenesysServer() as genesys, WebhookSink() as hook, CrmServer() as crm:
        furnish(genesys)
        crm.by_phone[traffic.PHONE] = CUSTOMER
        yield task_environment(cloud, genesys, hook.url, crm.url), hook, genesys


def task_environment(cloud: Cloud, genesys: GenesysCloud, hook: str, crm: str) -> dict[str, str]:
    """Return the environment of the task definition, its secrets, and the emulators' places."""
    return {
        **cloud.environment(),
        "GENESYS_ACTION_ID": "custom_-_0c0ffee0-0000-4000-8000-000000000001",
        "GENESYS_CLIENT_ID": genesys.client_id,
        "GENESYS_CLIENT_SECRET": genesys.client_secret,
        "GENESYS_API_URL": genesys.url,
        "GENESYS_LOGIN_URL": genesys.url,
        "CRM_WEBHOOK_URL": hook,
        "OPS_HOST": "127.0.0.1",
        "OPS_PORT": "0",
        "SQS_WAIT_SECONDS": "1",
        "GENESYS_FLOW_ID": FLOW,
        "CRM_API_ENDPOINT": crm,
        "OTEL_METRICS_EXPORTER": "none",
        "FORWARD_TO": cloud.forward_to,
    }


def hours_ago(hours: float) -> datetime:
    """Return the time so long ago."""
    return datetime.now(UTC) - timedelta(hours=hours)


def furnish(genesys: GenesysCloud) -> None:
    """Let the platform know the conversations, one of them larger than an input may be."""
    traffic.furnish(genesys)
    large = a_conversation(
        effects.LARGE,
        traffic.CALLER,
        media_type="voice",
        start="2026-03-02T11:56:00.000Z",
        end="2026-03-02T12:00:00.000Z",
    )
    genesys.ended[effects.LARGE] = Ended({**large, "externalTag": "x" * 300_000})
    missed = Past(id=MISSED, start_ms=int(1000 * hours_ago(20).timestamp()))
    genesys.history = History([missed])
    genesys.ended[MISSED] = Ended(dict(as_platform(missed)))
    genesys.speech.conversations[MISSED] = Spoken(score=0.5)
    genesys.flows[FLOW] = a_flow(FLOW, {"customerTier": "string"})


def send(cloud: Cloud) -> None:
    """Put events for each job on its queue, and a message that no one can read."""
    source = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/test"
    large, unknown = (
        traffic.entry(traffic.ENDED, traffic.leg(one, traffic.CALLER, "VOICE"), source, "b")
        for one in (effects.LARGE, effects.UNKNOWN)
    )
    leg = traffic.leg(traffic.CALL, traffic.CALLER, "VOICE")
    begun = traffic.entry(BEGUN, {**leg, "ani": f"tel:{traffic.PHONE}"}, source, "b")
    scored, call, chat = traffic.wanted(source, "b")
    forwarded = {**traffic.report_due("x"), "Source": "shop", "DetailType": "callback.requested"}
    for_jobs = {
        "voice": [scored],
        "attributes": [_of_now(begun)],
        "workflow": [call, chat, large, _of_now(unknown)],
        "sentiment": [chat],
        "reports": [traffic.report_due("by-hand")],
        "forward": [forwarded],
    }
    sqs, queues = cloud.client("sqs"), cloud.queues()
    for job, entries in for_jobs.items():
        for body in map(as_delivered, entries):
            sqs.send_message(QueueUrl=queues[job], MessageBody=body)
    sqs.send_message(QueueUrl=queues["voice"], MessageBody="unreadable")


def _of_now(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the event as one of this moment: old ones are not waited for, or come too late."""
    now, then = datetime.now(UTC), traffic.AT
    moved: Mapping[str, Any] = json.loads(
        json.dumps(entry, default=str)
        .replace(then.isoformat(), now.isoformat())
        .replace(str(int(then.timestamp() * 1000)), str(int(now.timestamp() * 1000)))
    )
    return moved


def as_delivered(entry: Mapping[str, Any]) -> str:
    """Return the body that EventBridge makes of an entry."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(
        {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": entry["DetailType"],
            "source": entry["Source"],
            "account": "123456789012",
            "time": now,
            "region": "eu-west-1",
            "resources": [],
            "detail": json.loads(entry["Detail"]),
        }
    )


async def _settled(cloud: Cloud, seen: Seen, log: Path) -> list[str]:
    """Return which effects are missing when all are there, a denial shows, or time is over."""
    deadline = asyncio.get_running_loop().time() + EFFECT_SECONDS
    while True:
        text = await asyncio.to_thread(log.read_text)
        missing = [*effects.missing(cloud, seen.hook)]
        if not (effects.UNKNOWN in text and '"receive_count":2' in text):
            missing.append("no second try")
        if True not in seen.protected:
            missing.append("the task was never protected")
        [participant] = seen.genesys.conversations[traffic.CALL]["participants"]
        if participant.get("attributes") != CUSTOMER:
            missing.append("no attributes")
        if not missing or DENIAL.search(text) or asyncio.get_running_loop().time() > deadline:
            return missing
        await asyncio.sleep(FIND_SECONDS)  # another process has no event to wait for


async def commands_round(cloud: Cloud, work: Path, policy: Mapping[str, Any]) -> Outcome:
    """Run every command of an operator under a policy."""
    cloud.reset()
    event = work / "event.json"
    event.write_text(as_delivered(traffic.report_due("sent")))
    texts, problems = [], []
    places = {
        "EVENT": str(event),
        "QUEUE": cloud.queues()["reports"],
        "FROM": f"{hours_ago(22):%Y-%m-%dT%H:%M:%SZ}",
        "TO": f"{hours_ago(18):%Y-%m-%dT%H:%M:%SZ}",
    }
    async with platform(cloud) as (environment, *_):
        _dead_letters(cloud)
        _record(cloud)
        environment.update(cloud.keys("operator", policy))
        for command in COMMANDS:
            arguments = [places.get(one, one) for one in command]
            code, text = await _ended(environment, arguments)
            texts.append(text)
            if UNTRIED in text:
                problems.append("worker check has left permissions untried")
            if code and NOT_THERE not in text:
                problems.append(f"worker {' '.join(command[:2])} ended with {code}: {text[-200:]}")
        console.prepare(cloud)
        texts.append(await console.changed(environment, work / f"console-{uuid.uuid4()}.log"))
        problems += console.undone(texts[-1])
    return Outcome(problems, "\n".join(texts))


COMMANDS: Sequence[Sequence[str]] = (
    ("check",),
    ("send", "EVENT", "--queue-url", "QUEUE"),
    ("dlq", "list", "--wait", "0"),
    ("dlq", "redrive", "--limit", "1", "--to", "QUEUE", "--wait", "0", "--apply"),
    ("dlq", "delete", "--all", "--limit", "1", "--wait", "0", "--apply", "--yes"),
    ("dlq", "redrive", "--native", "--to", "QUEUE", "--apply"),
    ("report", "--from", "2026-03-01", "--to", "2026-03-02"),
    ("report", "url", "by-hand", "2026-03-01"),
    ("trace", traffic.CALL),
    ("backfill", "--from", "FROM", "--to", "TO", "--apply"),
)


def _record(cloud: Cloud) -> None:
    """Let there be something to trace."""
    keys = {"conversationId": traffic.CALL, "eventTimestamp": "2026-03-02T12:00:00.000Z"}
    item = {name: {"S": value} for name, value in keys.items()}
    table = cloud.environment()["DYNAMODB_TABLE"]
    cloud.client("dynamodb").put_item(TableName=table, Item=item)
    # As the idempotency store keeps it: found by the conversation, then read by its key.
    done = {"id": "voice|proof", "conversationId": traffic.CALL, "job": "voice", "status": "done"}
    cloud.client("dynamodb").put_item(
        TableName=cloud.environment()["LEDGER_TABLE"],
        Item={
            **{name: {"S": value} for name, value in done.items()},
            **{name: {"N": "1772452800"} for name in ("claimedAt", "completedAt", "expiresAt")},
        },
    )


def _dead_letters(cloud: Cloud) -> None:
    sqs, url = cloud.client("sqs"), cloud.environment()["SQS_DEAD_LETTER_QUEUE_URL"]
    for _ in range(3):
        sqs.send_message(QueueUrl=url, MessageBody="unreadable")


async def _ended(
    environment: Mapping[str, str], arguments: Sequence[str]
) -> tuple[int | None, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments),
        env={"COLUMNS": "400", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=pipe,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    return process.returncode, output.decode()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
