"""The page of a replica: drawn from /status, escaped, self-contained, under a policy of its own."""

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import httpx
import pytest

from tests.support.snapshots import HOSTILE, a_worker_at_work, a_worker_in_trouble, hostile_worker
from worker.findings import code_of
from worker.intake.job_state import code_of_problem
from worker.ops import Health, OpsServer, Status
from worker.ops.page import html_page
from worker.ops.status import REMEDIES, advice, duration, problems
from worker.settings import Ops
from worker.telemetry import JobStatus, Problem, QueueStatus, Snapshot, UpstreamStatus


class Elements(HTMLParser):
    """All elements with their attributes, and the text outside script and style."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text, self._inside = [], "", ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text += data

    def names(self):
        return [tag for tag, _ in self.found]


def concluded(snapshot, **checks):
    """Return a snapshot with all that /status concludes."""
    health = Health(stall_seconds=3600, checks=checks)
    health.beat()
    return Status(lambda: snapshot, health)()


def causes(snapshot, **checks):
    return [(one.where, one.cause) for one in concluded(snapshot, **checks).problems]


def test_a_worker_at_work_has_no_problem():
    page = html_page(concluded(a_worker_at_work()))

    assert "No problem is known." in page
    assert "<title>Ready \u2013" in page


def test_all_that_an_engineer_asks_for_is_on_the_page():
    text = Elements(html_page(concluded(a_worker_in_trouble()))).text

    for shown in (
        "gate closed",
        "18,204",
        "0c5a7c1e-9d7b-4a5e-8f10-000000000001",
        "1 h 10 min",
        "working, waits for budget",
        "permanent 59",
        "11 s ago: KeyError in handler.py",
        "breaker open: it is tried again in 12 s",
        "What to do: allow the role sqs:ReceiveMessage on the queue",
        "worker dlq redrive --fingerprint 51d0aa7e",
    ):
        assert shown in text


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_or_reason_adds_no_element_and_no_attribute(text):
    harmless = Elements(html_page(concluded(hostile_worker("harmless"))))
    page = Elements(html_page(concluded(hostile_worker(text))))

    # A remedy may have code in it, by its backticks: that is all that a text may bring about.
    assert [one for one in page.names() if one != "code"] == [
        one for one in harmless.names() if one != "code"
    ]
    assert {name for _, given in page.found for name in given} == {
        name for _, given in harmless.found for name in given
    }


def test_characters_that_turn_a_text_around_are_shown_as_what_they_are():
    page = html_page(concluded(hostile_worker("queue\u202egnp.exe\x1b[31m")))

    assert "queue\\u202egnp.exe\\u001b[31m" in page
    assert "\u202e" not in page


def test_the_policy_lets_only_this_script_and_this_style_run():
    page = html_page(concluded(a_worker_at_work()))
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)

    for kind in ("script", "style"):
        [content] = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert f"{kind}-src &#x27;sha256-{digest}&#x27;" in policy
    assert policy.startswith("default-src &#x27;none&#x27;")
    assert "unsafe" not in policy


def test_it_is_served_at_the_root_and_never_cached_or_framed():
    health = Health(stall_seconds=3600)
    health.beat()
    with OpsServer(Ops(port=0), health, Status(a_worker_at_work, health)) as server:
        reply = httpx.get(f"{server.url}/")

    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "genesys-voice" in reply.text


def test_a_problem_of_several_jobs_is_shown_once():
    wrong = Problem(where="job", cause="refused (GENESYS_CLIENT_SECRET)", remedy="check it")
    jobs = [JobStatus(name=name, state="closed", problems=(wrong,)) for name in ("a", "b")]
    upstream = UpstreamStatus(name="login", breaker="open", reason="refused: check it")

    found = concluded(Snapshot(jobs=(*jobs,), upstreams=(upstream,)), jobs=lambda: "a: refused")

    assert found.problems == (
        Problem(
            where="jobs a, b",
            cause="refused (GENESYS_CLIENT_SECRET)",
            remedy="check it",
        ),
    )


@pytest.mark.parametrize(
    ("code", "remedy", "finding"),
    [
        ("AccessDenied", "allow the role sqs:ReceiveMessage on the queue", "SQS05"),
        ("KmsAccessDenied", "allow the role kms:Decrypt", "SQS05"),
        ("QueueDoesNotExist", "check SQS_QUEUE_URL", "SQS01"),
        ("ExpiredToken", "the credentials are refused: renew them", "AWS01"),
        ("EndpointConnectionError", "check AWS_ENDPOINT_URL", ""),
        ("ClientConnectorError", "check AWS_ENDPOINT_URL", ""),
    ],
)
def test_what_sqs_answers_is_shown_with_what_to_do(code, remedy, finding):
    queue = QueueStatus(name="events", jobs=(), receive_error=code, last_receive_seconds_ago=1.0)

    [problem] = problems(Snapshot(queues=(queue,)))

    assert problem.cause == f"ReceiveMessage fails with {code}"
    assert problem.remedy.startswith(remedy)
    assert problem.code == finding


@pytest.mark.parametrize(
    ("action", "finding"),
    [
        ("DeleteMessage", "SQS06"),
        ("DeleteMessageBatch", "SQS06"),
        ("ChangeMessageVisibilityBatch", "SQS07"),
        ("ChangeMessageVisibility", "SQS07"),
        ("GetQueueAttributes", "SQS01"),
    ],
)
def test_a_call_that_is_denied_has_the_code_of_its_permission(action, finding):
    queue = QueueStatus(name="q", jobs=(), failing={action: "AccessDenied"})

    [problem] = problems(Snapshot(queues=(queue,)))

    assert problem.code == finding
    assert advice(problem).endswith(f" (`worker explain {finding}`)")


@pytest.mark.parametrize(("error", "finding"), [("AccessDenied", "DLQ04"), ("Other", "")])
def test_a_dead_letter_that_is_denied_has_the_code_of_its_permission(error, finding):
    queue = QueueStatus(name="q", jobs=(), dead_letter_error=error)

    assert [one.code for one in problems(Snapshot(queues=(queue,)))] == [finding]


def test_a_problem_has_a_code_that_can_be_explained_or_none():
    assert code_of_problem("GENESYS_CLIENT_SECRET") == code_of("Genesys token")
    assert code_of_problem("GENESYS_CLIENT_ID") == code_of("Genesys permission")
    assert code_of_problem("ALERT_WEBHOOK_URL") == code_of("ALERT_WEBHOOK_URL")
    assert code_of_problem("CRM_API_TOKEN") == code_of("CRM")
    assert code_of_problem("HTTPS_PROXY") == ""


def test_dead_letters_without_a_queue_for_them_name_the_setting():
    error = "SQS_DEAD_LETTER_QUEUE_URL is not set"
    queue = QueueStatus(name="events", jobs=(), dead_letter_error=error)

    [problem] = problems(Snapshot(queues=(queue,)))

    assert problem.remedy == "check SQS_DEAD_LETTER_QUEUE_URL, the account and the region"
    assert problem.code == "DLQ01"


def test_what_stops_the_worker_comes_before_what_heals_by_itself():
    down = UpstreamStatus(name="crm", breaker="open", reason="breaker open")
    queue = QueueStatus(name="events", jobs=(), receive_error="AccessDenied")

    found = causes(Snapshot(queues=(queue,), upstreams=(down,), quarantine=True))

    assert [where for where, _ in found] == ["queue events", "process", "upstream crm"]


def test_a_reason_not_to_be_ready_that_a_job_explains_is_no_second_problem():
    wrong = Problem(where="job a", cause="refused (GENESYS_CLIENT_SECRET)", remedy="check it")
    job = JobStatus(name="a", state="closed", problems=(wrong,))

    assert causes(Snapshot(jobs=(job,)), genesys=lambda: "refused") == [("job a", wrong.cause)]


def test_every_reason_not_to_be_ready_is_a_problem():
    assert causes(Snapshot(), genesys=lambda: "no token yet", other=lambda: "odd") == [
        ("genesys", "no token yet"),
        ("other", "odd"),
    ]
    assert "GENESYS_CLIENT_ID" in REMEDIES["genesys"]


def test_a_receive_that_never_ends_is_a_problem():
    queue = QueueStatus(name="events", jobs=(), pollers=2, last_receive_seconds_ago=90.0)

    assert causes(Snapshot(queues=(queue,))) == [
        ("queue events", "Stalled: 2 pollers, no receive ended for 90 s")
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (61, "61 s"),
        (120, "2 min"),
        (3_599, "59 min"),
        (3_600, "1 h 0 min"),
        (190_000, "2 d 4 h"),
    ],
)
def test_lengths_of_time_are_given_in_two_units_at_most(seconds, text):
    assert duration(seconds) == text
