"""`worker backfill`: what is refused before anything is asked."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.events import utc_text

SETTINGS = {
    "SQS_QUEUE_URL": "http://127.0.0.1:9/1/q",
    "GENESYS_CLIENT_ID": "id",
    "GENESYS_CLIENT_SECRET": "secret",
    "GENESYS_ACTION_ID": "action",
    "DYNAMODB_TABLE": "records",
    "STEP_FUNCTIONS_ARN": "arn:aws:states:us-east-1:123456789012:stateMachine:enrich",
    "GENESYS_FLOW_ID": "f1000000-0000-4000-8000-000000000001",
    "CRM_API_ENDPOINT": "http://127.0.0.1:9/",
}


def ago(**age):
    return utc_text(datetime.now(UTC) - timedelta(**age))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--job", "attributes"), "attributes: a conversation that is over has no use for"),
        (("--job", "nonsense"), "--job: nonsense is no job; jobs: voice"),
        (("--job", "sentiment"), "would be forwarded once more"),
        (("--from", ago(hours=1), "--to", ago(hours=2)), "--from: is not before --to"),
        (
            ("--from", ago(minutes=30), "--to", ago(minutes=1)),
            "--from: what ended within the last hour may be in work",
        ),
        (("--from", ago(days=91), "--job", "workflow"), "keeps executions for 90 days only"),
        (("--from", "yesterday"), "not a date, nor a time"),
        (("--rate", "nan"), "'--rate'"),
    ],
)
def test_an_argument_that_cannot_hold_ends_with_2_and_its_reason(worker, options, reason):
    run = worker("backfill", "--from", ago(days=2), "--to", ago(days=1), *options, **SETTINGS)

    assert run.code == 2
    assert reason in " ".join(run.err.replace("│", " ").split())


def test_records_that_may_have_expired_are_not_taken_for_missing(worker):
    kept = {"DYNAMODB_RETENTION_SECONDS": "86400"}

    run = worker("backfill", "--from", ago(days=2), "--to", ago(days=1), **SETTINGS, **kept)

    assert run.code == 2
    assert "records of then have expired: DYNAMODB_RETENTION_SECONDS is 86400" in run.err


def test_the_reference_dialect_is_refused(worker):
    environ = {**SETTINGS, "GENESYS_DIALECT": "reference"}

    run = worker("backfill", "--from", ago(days=2), "--to", ago(days=1), **environ)

    assert run.code == 2
    assert "GENESYS_DIALECT: reference: its queries list no conversation" in run.err


def test_without_a_job_that_has_a_backfill_there_is_none(worker):
    off = {"HANDLERS": "attributes"}

    run = worker("backfill", "--from", ago(days=2), "--to", ago(days=1), **SETTINGS, **off)

    assert run.code == 2
    assert "none of the jobs that are on has a backfill" in run.err


def test_a_job_that_is_bound_to_no_queue_is_named(worker):
    bound = {"SQS_QUEUE_URL": "voice=http://127.0.0.1:9/1/q", "HANDLERS": "voice,workflow"}

    run = worker("backfill", "--from", ago(days=2), "--to", ago(days=1), **SETTINGS | bound)

    assert run.code == 2
    assert "SQS_QUEUE_URL: no queue is bound to workflow" in run.err
