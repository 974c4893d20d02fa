"""SQS_QUEUE_URL as one URL or as bindings, and the dead-letter queues that go with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.reading import REQUIRED, reader
from tests.unit.test_settings import GOOD
from worker.app.jobs import describe, load_settings
from worker.errors import ConfigurationError
from worker.settings import QueueBinding, Sqs, load_group
from worker.settings.bindings import entries_of

SQS = "https://sqs.eu-west-1.amazonaws.com/111122223333"
ALL = {
    **GOOD,
    "GENESYS_FLOW_ID": "f1000000-0000-4000-8000-000000000001",
    "CRM_API_ENDPOINT": "https://crm.example/customers",
    "STEP_FUNCTIONS_ARN": "arn:aws:states:eu-west-1:1:stateMachine:m",
    "CRM_WEBHOOK_URL": "https://crm.example/hook",
    "REPORT_BUCKET": "reports",
}
REST = f"workflow={SQS}/ended,attributes+sentiment={SQS}/chats,reports={SQS}/reports"


def loaded(queues, **environ):
    return load_settings({**ALL, "SQS_QUEUE_URL": queues, **environ})


def problems_of(queues, **environ):
    with pytest.raises(ConfigurationError) as caught:
        loaded(queues, **environ)
    return caught.value.problems


def test_one_url_is_a_queue_for_all_jobs_that_are_on():
    url = f"{SQS}/events"

    assert loaded(url, HANDLERS="voice,reports").queues() == (
        QueueBinding(url, "events", ("voice", "reports"), bound=False),
    )


def test_a_list_binds_each_queue_to_its_jobs():
    settings = loaded(f"voice={SQS}/voice, {REST}")

    assert settings.queues() == (
        QueueBinding(f"{SQS}/voice", "voice", ("voice",), bound=True),
        QueueBinding(f"{SQS}/ended", "ended", ("workflow",), bound=True),
        QueueBinding(f"{SQS}/chats", "chats", ("attributes", "sentiment"), bound=True),
        QueueBinding(f"{SQS}/reports", "reports", ("reports",), bound=True),
    )
    assert settings.sqs.queue_urls == tuple(queue.url for queue in settings.queues())


def test_one_queue_may_be_bound_to_all_jobs():
    forward = {"FORWARD_TYPES": "v2.users.*", "FORWARD_TO": "kinesis:events"}
    [queue] = loaded(f"{'+'.join(REQUIRED)}={SQS}/events", **forward).queues()

    assert (queue.jobs, queue.bound) == (tuple(REQUIRED), True)


def test_an_equals_sign_within_a_url_binds_nothing():
    [queue] = loaded(f"{SQS}/a=b/events").queues()

    assert (queue.url, queue.bound) == (f"{SQS}/a=b/events", False)


def test_the_setting_is_shown_as_it_was_written():
    rows = {row.name: row.value for row in describe(loaded(f"voice={SQS}/voice,{REST}"))}

    assert rows["SQS_QUEUE_URL"] == f"voice={SQS}/voice,{REST}"


@pytest.mark.parametrize(
    ("queues", "environ", "said"),
    [
        (f"voices={SQS}/v,voice={SQS}/w,{REST}", {}, "queue v: voices is not a job; jobs: "),
        (
            f"voice={SQS}/v,{REST}",
            {"GENESYS_ACTION_ID": "", "DYNAMODB_TABLE": ""},
            "queue v is bound to voice, which is off: it lacks GENESYS_ACTION_ID, DYNAMODB_TABLE",
        ),
        (
            f"voice={SQS}/v,{REST}",
            {"HANDLERS": "workflow,attributes,sentiment,reports"},
            "queue v is bound to voice, which is off: not in HANDLERS",
        ),
        (f"voice={SQS}/v,voice={SQS}/w,{REST}", {}, "job voice is bound 2 times"),
        (f"voice+voice={SQS}/v,{REST}", {}, "job voice is bound 2 times"),
        (f"voice={SQS}/ended,{REST}", {}, "queue ended is named 2 times; join its jobs by +"),
        (
            f"voice={SQS.replace('1111', '9999')}/ended,{REST}",
            {},
            "2 queues of different accounts or regions are named ended",
        ),
        (f"voice={SQS}/v,{SQS}/loose,{REST}", {}, "queue loose is bound to no job, others are"),
        (f"{SQS}/one,{SQS}/two", {}, "several queues must be bound to their jobs, e.g. voice=http"),
        (REST, {}, "job voice is on and bound to no queue, so its events would never be taken"),
    ],
)
def test_bindings_that_do_not_fit_the_jobs_are_refused(queues, environ, said):
    [problem] = problems_of(queues, **environ)

    assert problem.startswith(f"SQS_QUEUE_URL: {said}")


def test_all_that_is_wrong_with_the_bindings_is_named_at_once():
    problems = problems_of(
        f"voice={SQS}/v,workflow={SQS}/v,voise={SQS}/w,reports={SQS}/r,{SQS}/x",
        HANDLERS="voice,attributes,workflow",
    )

    assert len(problems) == 5
    assert all(line.startswith("SQS_QUEUE_URL: ") for line in problems)


@pytest.mark.parametrize(
    ("queues", "said"),
    [
        ("events", "is neither the URL of a queue nor its ARN"),
        ("arn:aws:sns:eu-west-1:111122223333:events", "is neither the URL of a queue"),
        ("arn:aws-iso:sqs:us-iso-east-1:111122223333:events", "is neither the URL of a queue"),
        (f"voice={SQS}/v,workflow=ended", "entry 2 is neither the URL of a queue nor its ARN"),
        (f"voice=http://sqs.example/v,{REST}", "entry 1 must begin with https://"),
        ("voice=,workflow=", "entry 1 is neither the URL of a queue nor its ARN; entry 2 is"),
        (" , ", "names no queue"),
        ("https://me:canary@sqs.example/1/q", "must not carry a user name or password"),
    ],
)
def test_what_is_no_url_of_a_queue_is_refused_with_an_example(queues, said):
    [problem] = problems_of(queues)

    assert problem.startswith(f"SQS_QUEUE_URL: {said}")
    assert "; e.g. https://sqs.eu-west-1.amazonaws.com/111122223333/events (set to" in problem
    assert "canary" not in problem


@pytest.mark.parametrize(
    ("arn", "url"),
    [
        (
            "arn:aws:sqs:eu-west-1:111122223333:q",
            "https://sqs.eu-west-1.amazonaws.com/111122223333/q",
        ),
        (
            "arn:aws-cn:sqs:cn-north-1:111122223333:q.fifo",
            "https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q.fifo",
        ),
        (
            "arn:aws-us-gov:sqs:us-gov-west-1:111122223333:q",
            "https://sqs.us-gov-west-1.amazonaws.com/111122223333/q",
        ),
        (
            "arn:aws-eusc:sqs:eusc-de-east-1:111122223333:q",
            "https://sqs.eusc-de-east-1.amazonaws.eu/111122223333/q",
        ),
    ],
)
def test_the_arn_of_a_queue_is_its_url(arn, url):
    assert load_group(Sqs, {"SQS_QUEUE_URL": arn}).queue_urls == (url,)
    assert load_group(Sqs, {"SQS_QUEUE_URL": f"voice={arn},workflow={SQS}/w"}).queue_urls[0] == url


def test_more_queues_than_permits_are_refused():
    [problem] = problems_of(f"voice={SQS}/voice,{REST}", SQS_CONCURRENCY="3")

    assert problem.startswith("SQS_CONCURRENCY: must be at least 4, the number of queues")


def test_each_queue_gets_the_dead_letter_queue_of_its_kind():
    settings = loaded(
        f"voice={SQS}/v.fifo,{REST}", SQS_DEAD_LETTER_QUEUE_URL=f"{SQS}/dead, {SQS}/dead.fifo"
    )

    assert settings.dead_letter_queue_for(f"{SQS}/v.fifo") == f"{SQS}/dead.fifo"
    assert settings.dead_letter_queue_for(f"{SQS}/ended") == f"{SQS}/dead"
    assert settings.sqs.dead_letter_queue_urls == (f"{SQS}/dead", f"{SQS}/dead.fifo")


def test_without_a_dead_letter_queue_there_is_none_for_any():
    assert loaded(f"{SQS}/events").dead_letter_queue_for(f"{SQS}/events") is None


@pytest.mark.parametrize(
    ("queues", "dead_letters", "said"),
    [
        (f"{SQS}/q.fifo", f"{SQS}/dead", "no FIFO queue is named for q.fifo"),
        (f"{SQS}/q", f"{SQS}/dead.fifo", "no standard queue is named for q"),
        (f"{SQS}/q", f"{SQS}/dead,{SQS}/dead2", "names 2 standard queues"),
        (f"{SQS}/q", f"{SQS}/q", "queue q is in SQS_QUEUE_URL, too"),
        (f"{SQS}/q", f"voice={SQS}/dead", "takes URLs without jobs"),
    ],
)
def test_dead_letter_queues_that_do_not_fit_the_queues_are_refused(queues, dead_letters, said):
    [problem] = problems_of(queues, SQS_DEAD_LETTER_QUEUE_URL=dead_letters)

    assert problem.startswith(f"SQS_DEAD_LETTER_QUEUE_URL: {said}")


NAMES = st.sampled_from(["voice", "reports", "x y", ""])
PARTS = st.one_of(
    st.text(max_size=30),
    st.builds(lambda jobs, tail: f"{'+'.join(jobs)}={SQS}/{tail}", st.lists(NAMES), st.text("ab/")),
)


@given(st.lists(PARTS, max_size=4).map(",".join))
def test_any_text_is_taken_or_refused_and_one_that_is_taken_reads_the_same_again(text):
    try:
        settings = Sqs(queue_url=text)
    except ValueError:
        return
    assert Sqs(queue_url=settings.queue_url).queue_url == settings.queue_url
    assert len(settings.queue_urls) == len(entries_of(text))


@pytest.mark.parametrize(
    ("detail_type", "jobs"),
    [
        ("v2.speechandtextanalytics.conversation.{id}.sentiment", {"voice"}),
        ("v2.detail.events.conversation.{id}.customer.end", {"workflow", "sentiment"}),
        ("conversation.start", {"attributes"}),
        ("Scheduled Event", {"reports"}),
        ("some.thing.else", set()),
    ],
)
def test_a_type_belongs_to_its_jobs_whether_they_are_on_or_not(detail_type, jobs):
    assert reader().jobs_of(detail_type) == jobs
