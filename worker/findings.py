"""What the commands that change nothing find (`check`, `inspect`, `trace`), and what it means."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from msgspec import Struct


class Permission(Struct, frozen=True, kw_only=True):
    """A permission in AWS that the worker needs."""

    action: str
    """Of IAM, e.g. `sqs:ReceiveMessage`."""

    setting: str
    """What names the resource, e.g. `SQS_QUEUE_URL`."""

    resource: str = ""
    """ARN of the resource; empty where it is not known."""


class Finding(Struct, frozen=True):
    """One fact and its state."""

    name: str
    state: Literal["ok", "untried", "warn", "fail"]
    found: str
    remedy: str = ""
    """What to do; empty when it is ok."""

    permission: Permission | None = None
    """The permission in AWS that the finding is about; None for any other."""

    @property
    def code(self) -> str:
        """What `worker explain` knows it by; it stays when names and texts change."""
        return code_of(self.name)

    def as_dict(self) -> dict[str, str | None]:
        """Return it for machines."""
        action = self.permission.action if self.permission else None
        shown = {"code": self.code, "name": self.name, "state": self.state, "found": self.found}
        return {**shown, "remedy": self.remedy, "action": action}


def ok(name: str, found: str) -> Finding:
    """Return a finding for what is as it should be."""
    return Finding(name, "ok", found)


def untried(name: str, found: str, remedy: str) -> Finding:
    """Return a finding for what no call without an effect shows; `remedy`: what does show it."""
    return Finding(name, "untried", found, remedy)


def warn(name: str, found: str, remedy: str) -> Finding:
    """Return a finding for what works, but not in every case."""
    return Finding(name, "warn", found, remedy)


def fail(name: str, found: str, remedy: str) -> Finding:
    """Return a finding for what must be fixed first."""
    return Finding(name, "fail", found, remedy)


Check = Callable[[Any, Any], Awaitable[Sequence[Finding]]]
"""Takes the context and the settings; returns what is as it should be, and what is not.
It reads, or calls what must be refused: nothing is sent, written or changed. A WorkerError that it
raises is reported as a failure."""

Checks = Mapping[str, Callable[[Any], Awaitable[Sequence[Finding]]]]
"""Checks by name, that of their finding should they have no answer; each is given the context."""

State = Literal["ok", "warn", "fail", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the answers of upstreams would make of an event; nothing was written.

    `lines` and `report` hold the customer's values; what is printed unless they are asked for is
    `masked`.
    """

    lines: Sequence[tuple[State, str, str]] = ()
    """For people: state, a word or two, text."""

    report: Mapping[str, Any] | None = None
    """For machines."""

    masked: "Inspection | None" = None
    """The same without any value; None where it has none."""

    complete: bool = True
    """False: something would be left out."""

    problem: str | None = None
    """Why the event would not be handled."""


class TraceEntry(Struct, frozen=True, kw_only=True):
    """One thing that was done for a conversation. Ids and states; no personal data."""

    time: datetime | None
    """When, aware; None where the place does not keep it."""

    what: str
    """In two or three words, e.g. `voice record`."""

    id: str
    """What it is found by in its place, e.g. the name of an execution."""

    state: str
    """What became of it."""

    job: str | None = None
    """The job that did it. `worker trace` sets it for what a job returns."""


class Trace(Struct, frozen=True, kw_only=True):
    """What was found for a conversation in one place, where effects show."""

    where: str
    """The place, e.g. `DynamoDB table voice-records`."""

    entries: Sequence[TraceEntry] = ()
    note: str = ""
    """What was not searched, and how to see it; empty: all was searched."""


class Explanation(Struct, frozen=True):
    """What a code means, and what to do about a finding of it."""

    code: str
    names: tuple[str, ...]
    """Of the findings that have it, and settings which a running worker finds wrong; globs."""

    means: str
    remedy: str


EXPLANATIONS = (
    Explanation(
        "SET01",
        ("settings", "bad setting"),
        "Whether all values have the right form, and those that are required are set.",
        "Correct each setting that is named, as in its example. `worker settings` shows what is in "
        "force, `worker settings PART` those of a name with their meaning.",
    ),
    Explanation(
        "SET02",
        ("half-configured job",),
        "Some settings of a job are set and some are not, so the job is off; its events are "
        "dead-lettered, as they seem to be wanted.",
        "Set what is missing (often a misspelt name), or name the other jobs in HANDLERS to leave "
        "it off on purpose.",
    ),
    Explanation(
        "SET03",
        ("job off",),
        "No setting that only this job needs is set: it is off, and its events are deleted.",
        "Nothing, if it is not wanted: naming the others in HANDLERS ends the warning. Else set "
        "what is named.",
    ),
    Explanation(
        "SET04",
        ("unknown setting",),
        "A variable has nearly the name of a setting, and is read by nothing.",
        "Correct the name, or remove the variable.",
    ),
    Explanation(
        "SET05",
        ("longest wait",),
        "A job waits for data longer than its messages are tried: they are dead-lettered first.",
        "Lower the wait, or raise RETRY_HORIZON_SECONDS (and the retention of the queue with it).",
    ),
    Explanation(
        "AWS01",
        ("AWS credentials", "AWS_ACCESS_KEY_ID"),
        "Whose credentials these are, as STS says. A warning: STS does not answer, as in a private "
        "network without an endpoint for it.",
        "Give the task or pod a role, or renew the keys. A warning needs nothing if the other "
        "findings of AWS are ok.",
    ),
    Explanation(
        "AWS02",
        ("AWS region",),
        "AWS_REGION is another one than that of a queue's URL: calls signed for the one are "
        "refused in the other.",
        "Set AWS_REGION to the region of the queues.",
    ),
    Explanation(
        "AWS03",
        ("AWS permission",),
        "A permission that the jobs need and that no call without an effect could try. Where the "
        "credentials may call iam:SimulatePrincipalPolicy, IAM is asked in its place; it knows the "
        "policies of the role, and none of the resource.",
        "Run the command that is printed for it, with credentials that may read IAM. `allowed`: "
        "nothing to do. `implicitDeny`: allow the role the action.",
    ),
    Explanation(
        "SQS01",
        ("queue",),
        "The queue and its attributes: does it exist, and may they be read?",
        "Check SQS_QUEUE_URL, account and region; allow the role sqs:GetQueueAttributes on it.",
    ),
    Explanation(
        "SQS02",
        ("visibility timeout",),
        "For how long a received message is hidden from other consumers. The heartbeat extends it; "
        "below 10 s, or with more messages at once than it can extend, they are received twice.",
        "Raise VisibilityTimeout of the queue to 60 s, set SQS_VISIBILITY_SECONDS, or lower "
        "SQS_CONCURRENCY.",
    ),
    Explanation(
        "SQS03",
        ("retention",),
        "For how long SQS keeps a message. What is retried for longer is dropped by SQS, and is in "
        "no dead-letter queue.",
        "Raise MessageRetentionPeriod above twice RETRY_HORIZON_SECONDS, or lower that.",
    ),
    Explanation(
        "SQS04",
        ("maxReceiveCount",),
        "After how many receives SQS itself moves a message away. Outages and deployments use up "
        "receives, so few of them dead-letter healthy messages; none at all lets a message that "
        "crashes the process come for ever.",
        "Set maxReceiveCount of the queue's redrive policy to 50: the worker's own limit is age.",
    ),
    Explanation(
        "SQS05",
        ("sqs:ReceiveMessage",),
        "The permission to receive from the queue, tried by a receive of eleven messages: SQS "
        "refuses that to everyone who is allowed to ask.",
        "Allow the role sqs:ReceiveMessage on the queue, and check the queue's own policy.",
    ),
    Explanation(
        "SQS06",
        ("sqs:DeleteMessage",),
        "The permission to delete what is done, tried with a receipt that no message has.",
        "Allow the role sqs:DeleteMessage on the queue, and check the queue's own policy.",
    ),
    Explanation(
        "SQS07",
        ("sqs:ChangeMessageVisibility",),
        "The permission to extend and release messages, tried with a receipt that no message has.",
        "Allow the role sqs:ChangeMessageVisibility; check the queue's own policy.",
    ),
    Explanation(
        "DLQ01",
        ("dead-letter queue",),
        "The queue that SQS_DEAD_LETTER_QUEUE_URL names: it must exist, be of the queue's kind "
        "(standard or FIFO) and not be the queue itself. Without one, messages that can never "
        "succeed stay on the queue.",
        "Name a queue of its own in SQS_DEAD_LETTER_QUEUE_URL; allow the role "
        "sqs:GetQueueAttributes on it.",
    ),
    Explanation(
        "DLQ02",
        ("dead-letter retention",),
        "The dead-letter queue keeps messages no longer than the queue. What SQS moves there "
        "brings its age along, and is dropped early.",
        "Set MessageRetentionPeriod of the dead-letter queue to 14 days.",
    ),
    Explanation(
        "DLQ03",
        ("redrive policy",),
        "SQS moves messages that were received too often to another queue than the worker's own "
        "dead letters go to. `worker dlq` and the alerts see only one of both.",
        "Use one queue for both: name the target of the queue's redrive policy in "
        "SQS_DEAD_LETTER_QUEUE_URL, or change the policy's deadLetterTargetArn.",
    ),
    Explanation(
        "DLQ04",
        ("sqs:SendMessage to the dead-letter queue",),
        "The permission to send dead letters, tried by a message with a delay that SQS refuses to "
        "everyone who is allowed to send.",
        "Allow the role sqs:SendMessage on the dead-letter queue, and check that queue's own "
        "policy. Until then messages that can never succeed stay on the queue.",
    ),
    Explanation(
        "DDB01",
        ("DynamoDB table", "DYNAMODB_TABLE"),
        "The table of voice records: name, keys and the permissions to write and to query.",
        "Check DYNAMODB_TABLE, its keys and the role. The write is refused by its own condition.",
    ),
    Explanation(
        "DDB02",
        ("idempotency table", "LEDGER_TABLE"),
        "The table of the idempotency store: name, key, the permissions to put, update and delete.",
        "Check LEDGER_TABLE, its key and the role. The writes are refused by their own conditions.",
    ),
    Explanation(
        "DDB03",
        ("budget table", "BUDGET_TABLE"),
        "The table in which replicas share the request budget: name, key, permission to update.",
        "Check BUDGET_TABLE (else LEDGER_TABLE), its key, and dynamodb:UpdateItem of the role.",
    ),
    Explanation(
        "EVB01",
        ("event bus", "EVENT_BUS_NAME"),
        "Whether the bus exists and takes the events of the jobs; tried by events whose detail is "
        "not JSON.",
        "Check EVENT_BUS_NAME, and events:PutEvents of the role with its conditions.",
    ),
    Explanation(
        "SFN01",
        ("state machine", "STEP_FUNCTIONS_ARN"),
        "Whether the state machine exists and may be started; tried by an input that is not JSON.",
        "Check STEP_FUNCTIONS_ARN, and states:StartExecution of the role.",
    ),
    Explanation(
        "BUC01",
        ("report bucket", "call details bucket", "REPORT_BUCKET", "WORKFLOW_DETAILS_BUCKET"),
        "Whether the bucket exists and may be written to; tried by a wrong checksum.",
        "Check the setting, s3:PutObject of the role and the bucket's own policy.",
    ),
    Explanation(
        "FWD01",
        ("forward target", "FORWARD_TO"),
        "Whether the target exists and takes events, and whether they would come back from it.",
        "Check FORWARD_TO and the role; let no rule lead from the target to a queue of the worker.",
    ),
    Explanation(
        "GEN01",
        ("Genesys token", "GENESYS_CLIENT_SECRET", "GENESYS_ENVIRONMENT"),
        "Whether the login host grants a token to the OAuth client.",
        "Check GENESYS_CLIENT_ID, GENESYS_CLIENT_SECRET and GENESYS_ENVIRONMENT (the region).",
    ),
    Explanation(
        "GEN02",
        ("Genesys organization",),
        "Which organization the token is of; GENESYS_ORGANIZATION_ID must name the same one, or "
        "every event is dead-lettered.",
        "Correct GENESYS_ORGANIZATION_ID, or use a client of the other organization.",
    ),
    Explanation(
        "GEN03",
        ("Genesys permission", "GENESYS_CLIENT_ID", "GENESYS_API_URL"),
        "One call that a job makes, tried with ids that nothing has; 403: a permission is missing.",
        "Give the permission to a role of the OAuth client, in the divisions of the queues.",
    ),
    Explanation(
        "GEN04",
        ("Genesys topic",),
        "Whether the events of a job travel on EventBridge in this organization.",
        "Add the topic to the EventBridge integration; not offered: do what the finding says.",
    ),
    Explanation(
        "GEN05",
        ("Genesys limits", "Genesys request limit", "Genesys data action limit"),
        "A limit of the organization against the setting that must stay below it.",
        "Lower the setting, or have Genesys raise the limit.",
    ),
    Explanation(
        "GEN06",
        ("Genesys data action", "GENESYS_ACTION_ID", "VOICE_INPUT_FIELD"),
        "Whether the data action exists; it is not run.",
        "Check GENESYS_ACTION_ID, and that the action is published.",
    ),
    Explanation(
        "GEN07",
        ("Genesys flow", "GENESYS_FLOW_ID"),
        "Whether the flow exists, is published and has input variables that can be read.",
        "Check GENESYS_FLOW_ID; publish the flow.",
    ),
    Explanation(
        "CRM01",
        ("CRM", "CRM_API_*"),
        "Whether the CRM answers a look-up of a conversation that does not exist.",
        "Check CRM_API_ENDPOINT, CRM_API_TOKEN and the network.",
    ),
    Explanation(
        "WEB01",
        ("*_WEBHOOK_URL", "WEBHOOK_SECRET"),
        "Whether the host of a webhook is reached, and its certificate trusted; nothing is posted.",
        "Check the URL, the name service, the network and the certificate.",
    ),
    Explanation(
        "JOB01",
        ("*",),
        "A finding of an installed job, by a check of its own.",
        "See the documentation of the job.",
    ),
)
"""In the order of the codes' subjects; the last one is for what no other has."""


def code_of(name: str) -> str:
    """Return the code of a finding's name; `QUEUE: name` is of the name."""
    short = name.rpartition(": ")[2]
    return next(
        one.code for one in EXPLANATIONS if any(fnmatchcase(short, form) for form in one.names)
    )
