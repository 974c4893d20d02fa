"""Each mistake of a setting: what is printed names the setting, the value and what to do."""

import json

import pytest

from tests.unit.test_settings import GOOD
from tests.unit.test_settings_queues import ALL
from worker.app.intake import queue_findings
from worker.app.jobs import load_settings, unknown_settings
from worker.cli.check.plan import settings_findings
from worker.clients.aws.sqs import attributes_of
from worker.settings import Settings

SQS = "https://sqs.eu-west-1.amazonaws.com/111122223333"
EXAMPLE = f"e.g. {SQS}/events"
REGIONS = "e.g. mypurecloud.ie or eu-west-1"
LEVELS = "must be 'debug', 'info', 'warning' or 'error'"
CANARY = "canary-7f3a"

FATAL = {
    "a near name of the queue": (
        {"SQS_QUEUE_URL": "", "QUEUE_URL": f"{SQS}/events"},
        ["SQS_QUEUE_URL: is not set", "QUEUE_URL: unknown; did you mean SQS_QUEUE_URL?"],
    ),
    "a near name of a client": (
        {"GENESYS_CLIENT_ID": "", "GENESYS_CLIENTID": "c", "HANDLERS": "voice"},
        [
            "GENESYS_CLIENT_ID: is not set — HANDLERS names voice",
            "GENESYS_CLIENTID: unknown; did you mean GENESYS_CLIENT_ID?",
        ],
    ),
    "a near name of the only job's action": (
        {"GENESYS_ACTION_ID": "", "GENESYS_ACTIONID": "custom"},
        [
            "no job is on — voice lacks GENESYS_ACTION_ID",
            "GENESYS_ACTIONID: unknown; did you mean GENESYS_ACTION_ID?",
        ],
    ),
    "near names beside another fault": (
        {"GENESYS_REGION": "x", "SQS_DLQ_URL": "https://x", "LOG_LEVEL": "loud"},
        [
            f"LOG_LEVEL: {LEVELS} (set to 'loud')",
            "GENESYS_REGION: unknown; did you mean GENESYS_ENVIRONMENT?",
            "SQS_DLQ_URL: unknown; did you mean SQS_DEAD_LETTER_QUEUE_URL?",
        ],
    ),
    "a secret of two lines": (
        {"GENESYS_CLIENT_SECRET": f"{CANARY}\nnext"},
        ["GENESYS_CLIENT_SECRET: must be printable ASCII without spaces"],
    ),
    "a secret with one quote of a word processor": (
        {"GENESYS_CLIENT_SECRET": f"\u201c{CANARY}"},
        ["GENESYS_CLIENT_SECRET: must be printable ASCII without spaces"],
    ),
    "a token with a space": (
        {"CRM_API_TOKEN": f"Bearer {CANARY}"},
        ["CRM_API_TOKEN: must be printable ASCII without spaces, as it goes into a header"],
    ),
    "a client's name for its id": (
        {"GENESYS_CLIENT_ID": "Event worker"},
        ["GENESYS_CLIENT_ID: must be printable ASCII without spaces (set to 'Event worker')"],
    ),
    "a secret beside its file": (
        {"GENESYS_CLIENT_SECRET": CANARY, "GENESYS_CLIENT_SECRET_FILE": "/run/secrets/x"},
        ["GENESYS_CLIENT_SECRET: is set beside GENESYS_CLIENT_SECRET_FILE; remove one of them"],
    ),
    "a file that is not there": (
        {"GENESYS_CLIENT_SECRET": "", "GENESYS_CLIENT_SECRET_FILE": "/no/such/file"},
        ["GENESYS_CLIENT_SECRET_FILE: '/no/such/file' cannot be read: No such file or directory"],
    ),
    "a queue's name for its URL": (
        {"SQS_QUEUE_URL": "events"},
        ["SQS_QUEUE_URL: is neither the URL of a queue nor its ARN", EXAMPLE, "'events'"],
    ),
    "a topic's ARN for a queue's": (
        {"SQS_QUEUE_URL": "arn:aws:sns:eu-west-1:111122223333:events"},
        ["SQS_QUEUE_URL: is neither the URL of a queue nor its ARN", EXAMPLE, "'arn:aws:sns:"],
    ),
    "the console's address of a queue": (
        {"SQS_QUEUE_URL": "https://eu-west-1.console.aws.amazon.com/sqs/v3/home?region=x#/queues/"},
        ["SQS_QUEUE_URL: is no URL of a queue", EXAMPLE, "'https://eu-west-1.console.aws"],
    ),
    "the address of SQS without a queue": (
        {"SQS_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/"},
        ["SQS_DEAD_LETTER_QUEUE_URL: is no URL of a queue, which ends with the queue's name"],
    ),
    "dead letters on the queue itself": (
        {"SQS_QUEUE_URL": f"{SQS}/q", "SQS_DEAD_LETTER_QUEUE_URL": f"{SQS}/q"},
        ["SQS_DEAD_LETTER_QUEUE_URL: queue q is in SQS_QUEUE_URL, too: dead letters would come"],
    ),
    "a FIFO queue with a standard dead-letter queue": (
        {"SQS_QUEUE_URL": f"{SQS}/q.fifo", "SQS_DEAD_LETTER_QUEUE_URL": f"{SQS}/dead"},
        ["SQS_DEAD_LETTER_QUEUE_URL: no FIFO queue is named for q.fifo: SQS wants both of one"],
    ),
    "a visibility of three seconds": (
        {"SQS_VISIBILITY_SECONDS": "3"},
        ["SQS_VISIBILITY_SECONDS: must be at least 10; e.g. 60 (set to '3')"],
    ),
    "a region that Genesys is not in": (
        {"GENESYS_ENVIRONMENT": "us-east-9"},
        ["GENESYS_ENVIRONMENT: is neither a domain nor an AWS region", REGIONS, "'us-east-9'"],
    ),
    "a domain without its end": (
        {"GENESYS_ENVIRONMENT": "mypurecloud"},
        ["GENESYS_ENVIRONMENT: is neither a domain nor an AWS region", REGIONS, "'mypurecloud'"],
    ),
    "an API's address with the path of its calls": (
        {"GENESYS_API_URL": "https://api.mypurecloud.ie/api/v2"},
        ["GENESYS_API_URL: must end before /api/v2", "e.g. https://gateway.example"],
    ),
    "a webhook without its scheme": (
        {"CRM_WEBHOOK_URL": f"hooks.example/{CANARY}"},
        ["CRM_WEBHOOK_URL: must be a URL; e.g. https://", "(set to 'hooks.example')"],
    ),
    "a webhook in the clear": (
        {"CRM_WEBHOOK_URL": f"http://hooks.example/{CANARY}"},
        ["CRM_WEBHOOK_URL: must begin with https://", "(set to 'http://hooks.example')"],
    ),
    "a job that does not exist": (
        {"HANDLERS": "voise"},
        ["HANDLERS: 'voise' is not a job; jobs: voice, attributes, workflow"],
    ),
    "a job that is named without its settings": (
        {"HANDLERS": "voice", "DYNAMODB_TABLE": ""},
        ["DYNAMODB_TABLE: is not set — HANDLERS names voice"],
    ),
    "a flow's name for its id": (
        {"GENESYS_FLOW_ID": "Post call"},
        ["GENESYS_FLOW_ID: is no UUID; e.g. ", "(set to 'Post call')"],
    ),
    "a text of another dialect": (
        {"GENESYS_REFERENCE": "r2"},
        ["GENESYS_REFERENCE: takes GENESYS_DIALECT=reference"],
    ),
}


@pytest.mark.parametrize("command", [["run"], ["check", "--json"]], ids=" ".join)
@pytest.mark.parametrize(("environ", "said"), FATAL.values(), ids=FATAL)
def test_a_fatal_mistake_is_reported_by_each_command_and_no_secret_with_it(
    worker, command, environ, said
):
    run = worker(*command, **{**GOOD, **environ})

    printed = run.err if command == ["run"] else "\n".join(map(line_of, run.json))
    assert run.code == 2
    assert [one for one in said if one not in printed] == []
    assert CANARY not in printed


def line_of(row):
    return f"{row['found']}: {row['remedy']}"


TAKEN = {
    "a newline at the end of a secret": ({"GENESYS_CLIENT_SECRET": "s3cret\n"}, "s3cret"),
    "quotes around a secret": ({"GENESYS_CLIENT_SECRET": '"s3cret"'}, "s3cret"),
    "white space around an id": ({"GENESYS_CLIENT_ID": " id\t"}, "id"),
    "a queue's ARN": (
        {"SQS_QUEUE_URL": "arn:aws:sqs:eu-west-1:111122223333:events"},
        f"{SQS}/events",
    ),
    "an AWS region": ({"GENESYS_ENVIRONMENT": "us-east-1"}, "mypurecloud.com"),
    "another program's name of a level": ({"LOG_LEVEL": "WARN"}, "warning"),
}


@pytest.mark.parametrize(("environ", "meant"), TAKEN.values(), ids=TAKEN)
def test_what_can_mean_one_thing_only_is_taken_for_it(environ, meant):
    settings = load_settings({**GOOD, **environ})

    assert meant in value_of(settings, *environ)


def value_of(settings: Settings, name: str) -> list[str]:
    group, _, field = name.lower().partition("_")
    value = getattr(getattr(settings, group), field)
    return [value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)]


HALF = {
    "a near name of an action": (
        {"GENESYS_ACTION_ID": "", "GENESYS_ACTIONID": "custom"},
        "job voice is off: GENESYS_ACTION_ID is not set; did you mean GENESYS_ACTIONID?",
    ),
    "a near name of a machine": (
        {"STEP_FUNCTIONS_ARN": "", "STATE_MACHINE_ARN": "arn:x"},
        "job workflow is off: STEP_FUNCTIONS_ARN is not set; did you mean STATE_MACHINE_ARN?",
    ),
}


@pytest.mark.parametrize(("environ", "said"), HALF.values(), ids=HALF)
def test_a_near_name_that_turns_a_job_off_fails_the_check(environ, said):
    settings = load_settings({**ALL, **environ})

    [found] = [one for one in settings_findings(settings) if one.state == "fail"]
    assert found.found == said
    assert "to turn it on, set " in found.remedy
    assert "to leave it off, name the others in HANDLERS" in found.remedy
    assert said in settings.half_configured().values()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("GENESYS_REGION", "GENESYS_ENVIRONMENT"), ("SQS_DLQ_URL", "SQS_DEAD_LETTER_QUEUE_URL")],
)
def test_a_near_name_of_what_has_a_default_is_warned_of(name, meant):
    assert unknown_settings({**GOOD, name: "x"}) == [f"{name}: unknown; did you mean {meant}?"]


WELL = {
    "QueueArn": "arn:aws:sqs:eu-west-1:111122223333:work",
    "VisibilityTimeout": "60",
    "MessageRetentionPeriod": str(4 * 86_400),
    "RedrivePolicy": json.dumps({"maxReceiveCount": 50, "deadLetterTargetArn": "a:dead"}),
}
DEAD = {**WELL, "QueueArn": "a:dead", "MessageRetentionPeriod": str(14 * 86_400)}

QUEUES = {
    "dead letters on the queue itself": (
        {},
        {"QueueArn": WELL["QueueArn"]},
        ["dead-letter queue: is the queue itself", "name another in SQS_DEAD_LETTER_QUEUE_URL"],
    ),
    "FIFO with a standard dead-letter queue": (
        {"FifoQueue": "true"},
        {},
        ["dead-letter queue: one queue is FIFO, the other is not", "make both of the same kind"],
    ),
    "a visibility of three seconds": (
        {"VisibilityTimeout": "3"},
        {},
        [
            "visibility timeout: 3 s",
            "raise the queue's VisibilityTimeout",
            "SQS_VISIBILITY_SECONDS",
        ],
    ),
    "a retention below the horizon": (
        {"MessageRetentionPeriod": "3600"},
        {},
        ["retention: 1.0 h", "raise MessageRetentionPeriod or lower RETRY_HORIZON_SECONDS"],
    ),
    "three receives": (
        {"RedrivePolicy": json.dumps({"maxReceiveCount": 3, "deadLetterTargetArn": "a:dead"})},
        {},
        ["maxReceiveCount: 3: an outage would dead-letter healthy messages", "set it to 50"],
    ),
    "no dead-letter queue": (
        {},
        None,
        ["dead-letter queue: not set", "set SQS_DEAD_LETTER_QUEUE_URL"],
    ),
}


@pytest.mark.parametrize(("over", "dead", "said"), QUEUES.values(), ids=QUEUES)
def test_a_mistake_of_a_queue_is_one_sentence(over, dead, said):
    queue = attributes_of({"Attributes": WELL | over})
    dead_letters = None if dead is None else attributes_of({"Attributes": DEAD | dead})

    found = queue_findings("work", queue, dead_letters, load_settings(GOOD))

    assert [one for one in said if not any(one in warning for warning in found)] == []
    assert all(warning.startswith("queue work: ") for warning in found)
