"""The permissions in AWS that no call without an effect can try: listed, or asked of IAM."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from worker.api import ConfigurationError, Finding, fail, ok, probes, warn
from worker.app.context import AppContext
from worker.app.jobs import jobs_on
from worker.cli.check.aws import DEAD_LETTERS, IDENTITY, LIMITS, PERMISSION, QUEUES
from worker.findings import Permission, untried
from worker.settings import Settings, value_of

CLAIMS = ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem")
INTAKE = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility")
PROTECT = "ecs:UpdateTaskProtection"

FORMS = {"s3": "s3", "kinesis": "kinesis", "firehose": "firehose", "sqs": "sqs", "bus": "events"}
"""What FORWARD_TO begins with, and the service whose actions it then takes."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose policies are asked about."""

    partition: str
    account: str
    arn: str
    """Of the role or user. The path of a role is not in what STS says: it may have to be added."""


def principal_of(findings: Iterable[Finding]) -> Principal | None:
    """Return who the credentials are of; None where STS did not say."""
    for one in findings:
        if one.name == IDENTITY and (who := re.fullmatch(_ARN, one.found)):
            partition, account, resource = who.groups()
            if resource.startswith("assumed-role/"):
                resource = "role/" + resource.split("/")[1]
            return Principal(partition, account, f"arn:{partition}:iam::{account}:{resource}")
    return None


_ARN = r"arn:([\w-]+):(?:sts|iam)::(\d+):((?:assumed-role|user)/[\w+=,.@/-]+)"


async def untried_permissions(context: AppContext, findings: Sequence[Finding]) -> list[Finding]:
    """Return a finding for each one that the others do not show: what IAM says, or how to ask."""
    who = principal_of(findings)
    region = context.aws.region or "*"
    known = [one.permission for one in findings if one.permission]
    shown = {(one.action, one.setting) for one in known}
    listed = [
        replace(untried(PERMISSION, _named(one), ""), permission=_located(one, known, who))
        for one in needed(context.settings, who, region)
        if (one.action, one.setting) not in shown
    ]
    listed += [one for one in findings if one.state == "untried" and one.permission]
    decided = await _decisions(context, who, [one.permission for one in listed if one.permission])
    return [_judged(one, who, decided) for one in listed]


def _located(one: Permission, known: Iterable[Permission], who: Principal | None) -> Permission:
    """Return it with the resource of another one of its setting, where it has none of its own.

    A bucket's name alone is not enough: permissions are granted by prefix, and the call that was
    tried had a key as the job makes them.
    """
    found = (other.resource for other in known if other.setting == one.setting)
    resource = one.resource or next(filter(None, found), "")
    if who is None:
        return one
    return replace(one, resource=resource.replace("arn:aws:", f"arn:{who.partition}:", 1))


def needed(settings: Settings, who: Principal | None, region: str) -> Iterator[Permission]:
    """Yield the permissions of the intake and of the jobs that are on."""
    fleet = settings.genesys.fleet_requests_per_minute
    for setting, actions in (
        (QUEUES, INTAKE),
        (DEAD_LETTERS, ("sqs:SendMessage",) if settings.sqs.dead_letter_queue_urls else ()),
        ("LEDGER_TABLE", CLAIMS if settings.idempotency.table else ()),
        ("BUDGET_TABLE", CLAIMS[1:2] if settings.budget.table and fleet else ()),
    ):
        for action in actions:
            yield Permission(action=action, setting=setting)
    for job in jobs_on(settings):
        for action, setting in job.aws_actions.items():
            value = _value_of(settings, setting)
            if value and _takes(value, action):
                resource = resource_of(action, value, who, region)
                yield Permission(action=action, setting=setting, resource=resource)
        if job.background and settings.ecs.agent_uri is not None:
            yield Permission(action=PROTECT, setting="ECS_AGENT_URI")


def _value_of(settings: Settings, variable: str) -> str:
    values = (value_of(group, variable) for group in settings.groups())
    return next((str(value) for value in values if value is not None), "")


def _takes(value: str, action: str) -> bool:
    """Return whether an action can be meant: FORWARD_TO needs one of those of its job."""
    scheme, colon, _ = value.partition(":")
    if not colon or scheme == "arn":
        return True
    return FORMS.get(scheme, "") == action.partition(":")[0]


def resource_of(action: str, value: str, who: Principal | None, region: str) -> str:
    """Return the ARN of what a setting names; empty where it is not known."""
    if who is None or ":" in value:
        return value if value.startswith("arn:") and not action.startswith("s3:") else ""
    at = f"{region}:{who.account}"
    names = {
        "dynamodb": f"{at}:table/{value}",
        "events": f"{at}:event-bus/{value}",
        "kinesis": f"{at}:stream/{value}",
        "firehose": f"{at}:deliverystream/{value}",
    }
    service = action.partition(":")[0]
    return f"arn:{who.partition}:{service}:{names[service]}" if service in names else ""


def _named(permission: Permission) -> str:
    return f"{permission.action} ({permission.setting}): no call without an effect shows it"


def _judged(one: Finding, who: Principal | None, decided: dict[Permission, str]) -> Finding:
    permission = one.permission
    if permission is None:
        return one
    what, decision = f"{permission.action} ({permission.setting})", decided.get(permission)
    found = ok(one.name, f"{what}: allowed, as IAM simulates it")
    remedy = f"allow the role {permission.action}"
    if decision == "explicitDeny":
        found = fail(one.name, f"{what}: a policy denies it, as IAM simulates it", remedy)
    elif decision == "implicitDeny":
        text = f"{what}: no policy of the role allows it, as IAM simulates it"
        found = warn(one.name, text, f"{remedy}, unless the resource's own policy does")
    elif decision is None:
        found = untried(one.name, one.found, command(permission, who))
    return replace(found, permission=permission)


def command(permission: Permission, who: Principal | None) -> str:
    """Return the command that asks IAM."""
    source = who.arn if who else "ROLE_ARN"
    resource = permission.resource or "RESOURCE_ARN"
    return (
        f"aws iam simulate-principal-policy --policy-source-arn {source} "
        f"--action-names {permission.action} --resource-arns '{resource}' "
        "--query 'EvaluationResults[].EvalDecision' --output text"
    )


async def _decisions(
    context: AppContext, who: Principal | None, permissions: Iterable[Permission]
) -> dict[Permission, str]:
    """Return what IAM decides of each; nothing where it may not be asked.

    Permissions on what no ARN is known of are left out: of `*` IAM would deny what is allowed.
    """
    asked = [one for one in permissions if one.resource]
    decided: dict[Permission, str] = {}
    if who is None or not asked:
        return decided
    try:
        iam = await context.aws_client("iam", LIMITS)
    except ConfigurationError:
        return decided  # an image without the model of IAM

    async def ask() -> None:
        for one in asked:
            reply = await iam.simulate_principal_policy(
                PolicySourceArn=who.arn, ActionNames=[one.action], ResourceArns=[one.resource]
            )
            for result in reply.get("EvaluationResults", ()):
                decided[one] = str(result.get("EvalDecision"))

    await probes.fault_raised(ask())
    return decided
