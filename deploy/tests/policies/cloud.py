"""An AWS that enforces IAM: ministack as a process, with what Terraform makes in it."""  # noqa: INP001  a script's folder

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
from state import ACCOUNT, REGION, Resource, resources

START_SECONDS = 30
SERVICES = "sqs,events,dynamodb,s3,stepfunctions,kinesis,firehose,ecs,iam,sts"
STREAM = "events"
"""What is forwarded goes there, by Kinesis or by Firehose."""

OWN_BUS = "own"
FIREHOSE_PREFIX = "firehose/"
"""Of the objects that the delivery stream writes."""

ROOT = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
BATCHES = {
    "sqs:SendMessage": "sqs:SendMessageBatch",
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch",
    "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
}
"""AWS takes the single action for a batch; ministack asks for one of the batch's own name."""

MISTAKEN = {
    "ecs:UpdateTaskProtection",
    "events:DescribeEventBus",
    "sqs:StartMessageMoveTask",
    "iam:SimulatePrincipalPolicy",
}
"""AWS asks about a task, a bus, a queue, a role; ministack about something else in the request."""

SUBSCRIBER = "bus-subscriber"
ASSUMED_BY_ALL = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
)

Policy = Mapping[str, Any]
Keys = Mapping[str, str]


class Cloud:
    """The resources of a run of Terraform, made anew as often as asked."""

    def __init__(self, url: str, states: Path, run: str, forward_to: str) -> None:
        self.url = url
        self.forward_to = forward_to
        self._resources = list(resources(states, run))

    def client(self, service: str, **keys: str) -> Any:
        """Return a client of that service; root's without keys."""
        options = {"endpoint_url": self.url, "region_name": REGION}
        return boto3.client(service, **options, **(keys or ROOT))

    def of(self, kind: str) -> Iterator[Resource]:
        """Yield the resources of a type."""
        return (one for one in self._resources if one.type == kind)

    def values(self, address: str) -> Mapping[str, Any]:
        """Return the attributes of one resource."""
        return next(one.values for one in self._resources if one.address == address)

    def environment(self) -> dict[str, str]:
        """Return the variables of the task definition, queues at their place here."""
        containers = json.loads(
            self.values("aws_ecs_task_definition.worker")["container_definitions"]
        )
        worker = next(one for one in containers if one["name"] == "worker")
        found = {one["name"]: str(one["value"]) for one in worker["environment"]}
        away = f"https://sqs.{REGION}.amazonaws.com"
        return {name: value.replace(away, self.url) for name, value in found.items()}

    def queues(self) -> dict[str, str]:
        """Return the URL of each job's queue."""
        bound = self.environment()["SQS_QUEUE_URL"].split(",")
        return dict(one.split("=", 1) for one in bound)

    def policy(self, address: str) -> Policy:
        """Return a policy as Terraform wrote it."""
        found: Policy = json.loads(self.values(address)["policy"])
        return found

    def reset(self) -> None:
        """Forget everything, and make the resources anew."""
        request = urllib.request.Request(f"{self.url}/_ministack/reset", method="POST")  # noqa: S310  loopback
        urllib.request.urlopen(request).close()  # noqa: S310  loopback
        self._make_queues()
        self._make_tables()
        self._make_bus()
        for bucket in self.of("aws_s3_bucket"):
            place = {"LocationConstraint": REGION}
            name = bucket.values["bucket"]
            self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=place)
        self._make_machines()
        self._make_targets()

    def _make_queues(self) -> None:
        sqs = self.client("sqs")
        # A queue after the one that it hands its dead letters to.
        for queue in sorted(self.of("aws_sqs_queue"), key=lambda one: len(_redrive(one))):
            given = queue.values
            attributes = {"VisibilityTimeout": str(given["visibility_timeout_seconds"] or 30)}
            attributes |= _redrive(queue)
            attributes["MessageRetentionPeriod"] = str(
                given["message_retention_seconds"] or 345_600
            )
            sqs.create_queue(QueueName=given["name"], Attributes=attributes)

    def _make_tables(self) -> None:
        for table in self.of("aws_dynamodb_table"):
            given = table.values
            keys = [("HASH", given["hash_key"]), ("RANGE", given["range_key"])]
            options: dict[str, Any] = {}
            if indexes := [_index(one) for one in given["global_secondary_index"]]:
                options["GlobalSecondaryIndexes"] = indexes
            self.client("dynamodb").create_table(
                TableName=given["name"],
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[{"AttributeName": name, "KeyType": kind} for kind, name in keys if name],
                AttributeDefinitions=[
                    {"AttributeName": one["name"], "AttributeType": one["type"]}
                    for one in given["attribute"]
                ],
                **options,
            )

    def _make_bus(self) -> None:
        """Let a queue hear what the worker puts on its own bus."""
        self.client("sqs").create_queue(QueueName=SUBSCRIBER)
        bus = self.client("events")
        pattern = {"source": ["genesys.sentiment.forwarder", "genesys.report.writer"]}
        bus.put_rule(Name=SUBSCRIBER, EventPattern=json.dumps(pattern))
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{SUBSCRIBER}"
        bus.put_targets(Rule=SUBSCRIBER, Targets=[{"Id": "1", "Arn": arn}])

    def _make_targets(self) -> None:
        """Make what events may be forwarded to."""
        self.client("events").create_event_bus(Name=OWN_BUS)
        self.client("kinesis").create_stream(StreamName=STREAM, ShardCount=1)
        bucket = f"arn:aws:s3:::{self.environment()['REPORT_BUCKET']}"
        written = {
            "RoleARN": self.role("firehose", _allowed("s3:PutObject", f"{bucket}/*")),
            "BucketARN": bucket,
            "Prefix": FIREHOSE_PREFIX,
        }
        self.client("firehose").create_delivery_stream(
            DeliveryStreamName=STREAM, ExtendedS3DestinationConfiguration=written
        )

    def _make_machines(self) -> None:
        for machine in self.of("aws_sfn_state_machine"):
            arn = self.role("workflow", self.policy("aws_iam_role_policy.workflow"))
            self.client("stepfunctions").create_state_machine(
                name=machine.values["name"], definition=machine.values["definition"], roleArn=arn
            )

    def role(self, name: str, policy: Policy) -> str:
        """Make a role, or give it another policy; return its ARN."""
        iam = self.client("iam")
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=ASSUMED_BY_ALL)
        iam.put_role_policy(RoleName=name, PolicyName="worker", PolicyDocument=json.dumps(policy))
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"

    def keys(self, name: str, policy: Policy) -> dict[str, str]:
        """Return credentials of a role with that policy, as variables."""
        session = self.client("sts").assume_role(
            RoleArn=self.role(name, policy), RoleSessionName="proof"
        )["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def _allowed(action: str, resource: str) -> Policy:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _redrive(queue: Resource) -> dict[str, str]:
    """Return the redrive policy; a mocked provider makes up a word where there is none."""
    policy = queue.values["redrive_policy"] or ""
    return {"RedrivePolicy": policy} if policy.startswith("{") else {}


def _index(given: Mapping[str, Any]) -> dict[str, Any]:
    keys = [("HASH", given["hash_key"]), ("RANGE", given["range_key"])]
    return {
        "IndexName": given["name"],
        "KeySchema": [{"AttributeName": name, "KeyType": kind} for kind, name in keys if name],
        "Projection": {"ProjectionType": given["projection_type"]},
    }


def actions_of(policy: Policy) -> list[str]:
    """Return the actions that a policy grants, each once."""
    named = [one["Action"] for one in policy["Statement"]]
    return sorted(
        {action for some in named for action in ([some] if isinstance(some, str) else some)}
    )


def enforceable(policy: Policy, *, without: str | None = None) -> Policy:
    """Return the policy as ministack reads it, one action taken away."""
    return {**policy, "Statement": [*_statements(policy["Statement"], without)]}


def _statements(statements: Iterable[Policy], without: str | None) -> Iterator[Policy]:
    for one in statements:
        named = [one["Action"]] if isinstance(one["Action"], str) else one["Action"]
        left = [action for action in named if action != without]
        batches = [BATCHES[action] for action in left if action in BATCHES]
        if left:
            # It does not know the condition key events:source.
            kept = {key: one[key] for key in one if key != "Condition"}
            resource = "*" if MISTAKEN.issuperset(left) else one["Resource"]
            yield {**kept, "Action": [*left, *batches], "Resource": resource}


@contextmanager
def enforcing(program: Path, log: Path) -> Iterator[str]:
    """Run ministack with IAM in force; yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "AUTH": "true",
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "LOG_LEVEL": "WARNING",
        "SERVICES": SERVICES,
        "TMPDIR": str(log.parent),
    }
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603  ours
            [program],
            env={**os.environ, **settings},
            stdout=output,
            stderr=output,
        )
    try:
        _wait(lambda: _answers(f"{url}/_ministack/health"))
        yield url
    finally:
        server.terminate()
        server.wait(START_SECONDS)


def _answers(url: str) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(url).close()  # noqa: S310  loopback
        return True
    return False


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("ministack does not answer")
        time.sleep(0.05)  # another process has no event to wait for
