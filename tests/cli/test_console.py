"""`worker console`: what its pages show, and that only they change anything, after a dry run."""

import asyncio
import io
import json
from contextlib import ExitStack

import aiohttp
import pytest

from tests.support.console import TOKEN, Visitor, served_console, until
from tests.support.dead_letters import ABC, XYZ, DeadLettered, dead_lettered, dead_letters
from tests.support.replicas import (
    ADDRESSES,
    NAME,
    free_port,
    frozen_replica,
    names,
    replica,
    two_that_answer,
)
from tests.support.snapshots import HOSTILE, a_worker_at_work, a_worker_in_trouble, hostile_worker
from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.control import ACCESS_DENIED
from worker.emulators.sqs.model import Attribute
from worker.intake.dead_letters import RECORD_ATTRIBUTE
from worker.telemetry.logs import configure_logging, flush_logs

PHONE = "+4915112345678"
PRIVATE = json.dumps({"conversationId": "c0ffee00-0000-4000-8000-000000000001", "ani": PHONE})
CAUSE = f"/dead-letters/cause?fingerprint={ABC.fingerprint}"
OF_CAUSE = {"action": "redrive", "fingerprint": ABC.fingerprint}
PAGES = ("/", "/dead-letters", "/jobs", "/upstreams", "/trace")


@pytest.fixture
async def sqs(monkeypatch):
    async with SqsServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint_url)
        yield server


@pytest.fixture
def dead(sqs, monkeypatch):
    url = sqs.create_queue("dead")
    monkeypatch.setenv("SQS_DEAD_LETTER_QUEUE_URL", url)
    return url


@pytest.fixture
def queue(sqs, dead, monkeypatch):
    url = sqs.create_queue("q")
    monkeypatch.setenv("SQS_QUEUE_URL", url)
    return url


@pytest.fixture
def places():
    """Where the replicas are; none that answers, unless a test starts some."""
    return [("127.0.0.1", free_port())]


@pytest.fixture
async def visit(places):
    """Return a function that serves a console and gives a visitor."""
    async with aiohttp.ClientSession() as http:
        stack = []

        async def start(**options):
            served = served_console(*places, **options)
            stack.append(served)
            return Visitor(http, *await served.__aenter__())

        yield start
        for served in reversed(stack):
            await served.__aexit__(None, None, None)


@pytest.fixture
async def changing(queue, visit):
    """A console that may change something."""
    return await visit(changes=True)


@pytest.fixture
def log():
    """Return what the log has, as JSON lines."""
    stream = io.StringIO()
    configure_logging("debug", "json", stream)

    def lines():
        flush_logs()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    return lines


@pytest.fixture
def fail(dead):
    """Return a function that dead-letters messages as the worker does; gives their bodies."""

    async def send(*wanted):
        return await asyncio.to_thread(dead_lettered, dead, *wanted)

    return send


async def a_dry_run(visitor, **selected):
    run = await visitor.done("/dead-letters/dry-run", **(selected or OF_CAUSE))
    return f"/runs/{run.number}"


def bodies(sqs, url):
    return sorted(message.sent.body for message in sqs.messages(url))


async def test_a_cause_is_redriven_after_a_dry_run_and_the_others_stay(
    sqs, queue, dead, fail, changing, log
):
    wanted = await fail(*dead_letters(12))
    others = await fail(*dead_letters(3, XYZ))
    await changing.done("/dead-letters/read", limit="1000")

    causes = await changing.get("/dead-letters")
    cause = await changing.get(CAUSE)
    dry_run = await a_dry_run(changing)
    unchanged = bodies(sqs, dead)
    asked = await changing.get(dry_run)
    run = await changing.done(f"{dry_run}/apply", rate="1000")
    page = await changing.get(f"/runs/{run.number}")

    assert CAUSE in causes.links("/dead-letters/cause")
    assert "15 of about 15 messages read" in causes.words
    assert len(cause.links("/dead-letters/message")) == 12
    assert "12 would be redriven (q 12), 3 others stay" in asked.words
    assert "Redrive 12 messages" in asked.words
    assert unchanged == sorted(wanted + others)
    assert "12 redriven of 12 (q 12), 3 others stay" in page.words
    assert bodies(sqs, queue) == sorted(wanted)
    assert bodies(sqs, dead) == sorted(others)
    assert sqs.depth(dead).in_flight == 0
    ended = next(line for line in log() if line["event"] == "dead_letter_change_ended")
    assert (ended["action"], ended["done"], ended["by"]) == ("redrive", 12, "127.0.0.1")
    assert ended["fingerprint"] == ABC.fingerprint


async def test_messages_are_deleted_only_after_a_dry_run_that_was_confirmed(
    sqs, dead, fail, changing
):
    await fail(*dead_letters(2), *dead_letters(1, XYZ))
    dry_run = await a_dry_run(changing, action="delete", fingerprint=ABC.fingerprint)

    unconfirmed = await changing.post(f"{dry_run}/apply", rate="100")
    left = len(bodies(sqs, dead))
    run = await changing.done(f"{dry_run}/apply", rate="100", sure="yes")

    assert (unconfirmed.status, left) == (400, 3)
    assert run.tally.done == 2
    assert len(bodies(sqs, dead)) == 1


async def test_one_message_is_redriven_by_its_id(sqs, queue, dead, fail, changing):
    await fail(*dead_letters(3))
    one = sqs.messages(dead)[0]
    dry_run = await a_dry_run(changing, action="redrive", message=one.id)

    await changing.done(f"{dry_run}/apply", rate="100")

    assert bodies(sqs, queue) == [one.sent.body]
    assert len(bodies(sqs, dead)) == 2


async def test_what_came_after_the_dry_run_stays(sqs, dead, fail, changing):
    await fail(*dead_letters(1))
    dry_run = await a_dry_run(changing)
    late = await fail(*dead_letters(1))

    run = await changing.done(f"{dry_run}/apply", rate="100")

    assert run.tally.done == 1
    assert bodies(sqs, dead) == late


async def test_progress_is_live_and_a_run_that_is_stopped_leaves_the_rest(
    sqs, queue, dead, fail, changing, log
):
    await fail(*dead_letters(40))
    dry_run = await a_dry_run(changing)
    answer = await changing.post(f"{dry_run}/apply", rate="4")
    run, streamed = changing.work.runs[-1], asyncio.create_task(live(changing, answer.path))
    await until(lambda: run.tally.done)

    await changing.post(f"{answer.path}/stop")
    await until(lambda: run.is_over)
    parts = await streamed

    done = run.tally.done
    assert answer.links("/dead-letters")
    assert run.state == "stopped"
    assert 0 < done < 40
    assert len(bodies(sqs, queue)) == done
    assert len(bodies(sqs, dead)) == 40 - done
    assert sqs.depth(dead).in_flight == 0
    assert any(f"{done} done" in part or f"{done} redriven of 40" in part for part in parts)
    assert parts[-1] == "over"
    assert any(line["event"] == "dead_letter_change_stop_requested" for line in log())


async def live(visitor, path):
    """Return all that a page's stream sent until its end."""
    async with aiohttp.ClientSession() as http, http.get(f"{visitor.url}/live{path}") as reply:
        lines = (await reply.text()).splitlines()
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


async def test_a_second_run_waits_for_the_first(fail, changing):
    await fail(*dead_letters(5))
    dry_run = await a_dry_run(changing)
    first = await changing.post(f"{dry_run}/apply", rate="0.5")

    second = await changing.post("/dead-letters/read", limit="10")

    await changing.post(f"{first.path}/stop")
    assert second.status == 409
    assert "Another run is not over" in second.words


async def test_a_trace_that_reads_dead_letters_and_a_run_keep_each_other_out(
    sqs, dead, visit, queue, monkeypatch
):
    monkeypatch.setenv("FORWARD_TYPES", "*")
    monkeypatch.setenv("FORWARD_TO", "https://hook.example/events")
    visitor = await visit()
    form = {"conversation": "c0ffee00-0000-4000-8000-000000000001"}
    before = sqs.counts["ReceiveMessage"]
    trace = asyncio.create_task(visitor.post("/trace", **form))
    await until(lambda: sqs.counts["ReceiveMessage"] > before or trace.done())

    run, second = (
        await visitor.post("/dead-letters/read", limit="10"),
        await visitor.post("/trace", **form),
    )

    first = await trace
    assert (first.status, run.status, second.status) == (200, 409, 409)
    assert "dead-letter queue dead: 0 found" in first.words
    assert (await visitor.post("/dead-letters/read", limit="10")).status == 200


@pytest.mark.parametrize("state", ["read", "empty", "applied", "again"])
async def test_only_a_dry_run_that_selected_something_is_applied_once(
    sqs, dead, fail, changing, state
):
    await fail(*dead_letters(1))
    if state == "read":
        run = await changing.done("/dead-letters/read", limit="10")
    elif state == "empty":
        run = await changing.done("/dead-letters/dry-run", action="redrive", fingerprint="none")
    else:
        dry_run = await a_dry_run(changing, action="redrive", fingerprint=ABC.fingerprint)
        run = await changing.done(f"{dry_run}/apply", rate="100")
    if state == "again":
        run = run.of
        await fail(*dead_letters(1))
        assert "Applied by run 2" in (await changing.get(dry_run)).words
    before = bodies(sqs, dead)

    answer = await changing.post(f"/runs/{run.number}/apply", rate="100", sure="yes")

    assert answer.status == 409
    assert bodies(sqs, dead) == before


@pytest.mark.parametrize("rate", ["", "nan", "inf", "0", "-1", "1e9", "ten"])
async def test_a_rate_that_is_none_is_refused(sqs, dead, fail, changing, rate):
    await fail(*dead_letters(1))
    dry_run = await a_dry_run(changing)

    answer = await changing.post(f"{dry_run}/apply", rate=rate)

    assert answer.status == 400
    assert len(bodies(sqs, dead)) == 1


async def test_a_read_only_console_changes_nothing_and_says_how_to(sqs, queue, dead, fail, visit):
    await fail(*dead_letters(1))
    visitor = await visit()
    await visitor.done("/dead-letters/read", limit="10")

    page = await visitor.get(CAUSE)
    dry_run = await visitor.post("/dead-letters/dry-run", **OF_CAUSE)
    applied = await visitor.post("/runs/1/apply", rate="10")

    assert (dry_run.status, applied.status) == (403, 403)
    assert "read-only" in page.words
    assert f"worker dlq redrive --fingerprint {ABC.fingerprint}" in page.words
    assert not [given for name, given in page.tags if name == "form"]
    assert len(bodies(sqs, dead)) == 1


FORGED = {
    "another host": {"Host": "evil.example"},
    "a name that resolves to loopback": {"Host": "127.0.0.1.evil.example"},
    "a host with user": {"Host": "localhost@evil.example"},
    "no host": {"Host": ""},
    "no origin": {"Origin": None},
    "null origin": {"Origin": "null"},
    "another origin": {"Origin": "https://evil.example"},
    "another port's origin": {"Origin": "http://127.0.0.1:1"},
    "an origin that begins alike": {"Origin": "{url}.evil.example"},
    "an origin that begins as a host without port": {
        "Host": "localhost",
        "Origin": "http://localhost.evil.example",
    },
    "an extension's origin": {"Origin": "chrome-extension://{host}"},
    "no form": {"Content-Type": "text/plain"},
    "another charset": {"Content-Type": "application/x-www-form-urlencoded; charset=nonsense"},
}


@pytest.mark.parametrize("headers", FORGED.values(), ids=FORGED)
async def test_a_forged_request_changes_nothing(sqs, dead, fail, changing, headers):
    await fail(*dead_letters(1))
    dry_run = await a_dry_run(changing)
    host = changing.url.removeprefix("http://")
    sent = {**changing.headers, "Content-Type": "application/x-www-form-urlencoded"}
    sent |= {
        name: value and value.format(url=changing.url, host=host) for name, value in headers.items()
    }
    sent = {name: value for name, value in sent.items() if value is not None}

    answer = await changing.post(f"{dry_run}/apply", headers=sent, rate="100")

    assert answer.status == 403
    assert "Refused" in answer.text
    assert len(changing.work.runs) == 1
    assert len(bodies(sqs, dead)) == 1


@pytest.mark.parametrize("token", [None, "", "another", TOKEN[:-1], "\u00fc"])
async def test_without_the_token_nothing_is_changed(sqs, dead, fail, changing, token):
    await fail(*dead_letters(1))
    dry_run = await a_dry_run(changing)

    answer = await changing.post(f"{dry_run}/apply", token=token, rate="100")

    assert answer.status == 403
    assert "load the page again" in answer.text
    assert len(bodies(sqs, dead)) == 1


async def test_a_foreign_name_for_loopback_reads_nothing(changing):
    for path in (*PAGES, "/live/", "/console.js"):
        answer = await changing.get(path, Host="evil.example")

        assert answer.status == 403
        assert TOKEN not in answer.text


async def test_a_page_of_another_site_may_lead_to_ours_and_load_nothing(changing):
    foreign = {"Sec-Fetch-Site": "cross-site"}

    followed = await changing.get("/trace", **foreign, **{"Sec-Fetch-Mode": "navigate"})
    loaded = await changing.get("/trace", **foreign, **{"Sec-Fetch-Mode": "no-cors"})

    assert (followed.status, loaded.status) == (200, 403)


async def test_the_end_of_the_console_stops_a_run_between_two_batches(sqs, queue, dead, fail):
    await fail(*dead_letters(20))
    async with aiohttp.ClientSession() as http, served_console(changes=True) as (url, work):
        visitor = Visitor(http, url, work)
        dry_run = await a_dry_run(visitor)
        await visitor.post(f"{dry_run}/apply", rate="5")
        await until(lambda: work.runs[-1].tally.done)

    done = work.runs[-1].tally.done
    assert work.runs[-1].state == "stopped"
    assert (len(bodies(sqs, queue)), len(bodies(sqs, dead))) == (done, 20 - done)
    assert sqs.depth(dead).in_flight == 0


@pytest.mark.parametrize("host", ["localhost:8080", "LOCALHOST", "[::1]:9465", "127.0.0.1"])
async def test_loopback_is_known_on_any_port(changing, host):
    # `kubectl port-forward` and a container's published port are other ports than ours.
    assert (await changing.get("/trace", Host=host)).status == 200


async def test_a_proxys_host_is_answered_when_it_is_allowed(sqs, dead, fail, queue, visit):
    await fail(*dead_letters(1))
    visitor = await visit(changes=True, hosts=["console.example"])
    origin = {"Origin": "https://console.example"}

    kept = await visitor.post(
        "/dead-letters/read", limit="1", headers={"Host": "console.example", **origin}
    )
    await until(lambda: visitor.work.active is None)
    rewritten = await visitor.post("/dead-letters/read", limit="1", headers=origin)

    assert [kept.status, rewritten.status] == [200, 200]


async def test_every_answer_keeps_others_out(changing):
    for path in (*PAGES, "/console.js", "/console.css", "/nothing", "/runs/9"):
        headers = (await changing.get(path)).headers

        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "no-referrer" in headers["Referrer-Policy"]
        assert headers["Cache-Control"] == "no-store"


async def test_a_body_is_shown_only_when_asked_for_and_never_logged(fail, changing, log):
    await fail(DeadLettered(PRIVATE))
    await changing.done("/dead-letters/read", limit="10")
    cause = await changing.get(CAUSE)
    (link,) = cause.links("/dead-letters/message")

    message = await changing.get(link)
    asked = await changing.post("/dead-letters/message/body", id=link.partition("id=")[2])

    before = [await changing.get("/dead-letters"), cause, message]
    assert not [page.path for page in before if PHONE in page.text]
    assert PHONE in asked.words
    assert PHONE not in asked.path
    assert message.links("/trace")
    lines = log()
    assert PHONE not in json.dumps(lines)
    shown = [line for line in lines if line["event"] == "dead_letter_body_shown"]
    assert [line["message_id"] for line in shown] == [link.partition("id=")[2]]


async def test_bodies_of_an_earlier_reading_are_kept_no_longer(fail, changing):
    await fail(DeadLettered(PRIVATE))
    first = await changing.done("/dead-letters/read", limit="10")

    await changing.done("/dead-letters/read", limit="10")

    assert first.found == []


async def test_a_long_list_is_shown_in_parts(fail, changing):
    await fail(*dead_letters(103))
    await changing.done("/dead-letters/read", limit="1000")

    first = await changing.get(CAUSE)
    (onward,) = [one for one in first.links("/dead-letters/cause") if "first=" in one]
    second = await changing.get(onward)

    assert len(first.links("/dead-letters/message")) == 100
    assert len(second.links("/dead-letters/message")) == 3


async def test_no_more_is_read_than_asked_for_and_all_is_visible_again(sqs, dead, fail, changing):
    await fail(*dead_letters(15))

    run = await changing.done("/dead-letters/read", limit="12")

    assert len(run.found) == 12
    assert sqs.depth(dead).in_flight == 0
    assert "12 of about 15 messages read" in (await changing.get("/dead-letters")).words


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_of_a_sender_does_nothing(sqs, dead, changing, text):
    record = dict.fromkeys(("reason", "fingerprint", "job", "queue", text), text)
    attributes = {RECORD_ATTRIBUTE: Attribute("String", json.dumps(record))}
    sqs.send(dead, f"{text} {PHONE}", attributes=attributes)
    await changing.done("/dead-letters/read", limit="10")

    causes = await changing.get("/dead-letters")
    (link,) = causes.links("/dead-letters/cause")
    cause = await changing.get(link)
    (message,) = cause.links("/dead-letters/message")
    asked = await changing.post("/dead-letters/message/body", id=message.partition("id=")[2])
    run = await changing.done("/dead-letters/dry-run", action="redrive", fingerprint=text)

    pages = [causes, cause, await changing.get(message), asked]
    pages.append(await changing.get(f"/runs/{run.number}"))
    for page in pages:
        assert page.status == 200
        assert_harmless(page)
    assert run.to_do == 0
    assert run.tally.causes.total == 1


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_of_a_worker_does_nothing(visit, places, text):
    with replica(hostile_worker(text), *places[0]):
        visitor = await visit()

        for path in ("/", "/jobs", "/upstreams"):
            assert_harmless(await visitor.get(path))


def assert_harmless(page):
    """Find only elements and attributes that are ours."""
    foreign = {"img", "iframe", "b onmouseover"} & {name for name, _ in page.tags}
    scripts = [given for name, given in page.tags if name == "script"]
    handlers = [key for _, given in page.tags for key in given if key.startswith("on")]
    assert not foreign
    assert scripts == [{"src": "/console.js", "defer": ""}]
    assert not handlers
    assert not {"\u202e", "\x1b"} & set(page.words)


async def test_three_replicas_behind_one_name_one_of_them_frozen(visit, places):
    port = free_port()
    places[:] = [(NAME, port)]
    moving, shut = two_that_answer()
    with ExitStack() as stack:
        stack.enter_context(names({NAME: ADDRESSES}))
        stack.enter_context(replica(moving, ADDRESSES[0], port, host="pod-a"))
        stack.enter_context(replica(shut, ADDRESSES[1], port, host="pod-b"))
        stack.enter_context(frozen_replica(ADDRESSES[2], port))

        page = await (await visit()).get("/")

    frozen = f"{ADDRESSES[2]}:{port}"
    assert "Replicas that answer: 2 of 3" in page.words
    assert "1 replica does not answer: all sums are without it." in page.words
    assert f"{frozen} {frozen} no answer frozen: takes connections" in page.words
    assert "voice gates differ" in page.words
    assert "Visible 40 In flight 8 Invisible 12 Dead letters 4" in page.words
    assert "pod-a open 5 Moving: 5 in flight" in page.words
    assert "pod-b closed 3 Gate closed: crm; 3 in flight, 38 visible" in page.words
    assert f"{frozen} unknown \u2014 frozen: takes connections" in page.words
    assert "No problem is known" not in page.words
    assert "bad f1 voice 4 0" in page.words


async def test_why_a_queue_is_not_moving_is_shown_with_the_remedy(visit, places):
    with replica(a_worker_in_trouble(), *places[0]):
        visitor = await visit()

        overview, jobs, upstreams = [
            await visitor.get(path) for path in ("/", "/jobs", "/upstreams")
        ]

    assert "ReceiveMessage fails with AccessDenied" in overview.words
    assert "What to do: allow the role sqs:ReceiveMessage on the queue" in overview.words
    assert "check DYNAMODB_TABLE, the account and the region" in jobs.words
    assert "data_action open" in upstreams.words
    assert "dynamodb closed voice" in upstreams.words


async def test_the_overview_is_live(visit, places):
    snapshot = [a_worker_at_work()]
    with replica(lambda: snapshot[0], *places[0]):
        visitor = await visit()
        async with aiohttp.ClientSession() as http, http.get(f"{visitor.url}/live/") as stream:
            first = await stream.content.readuntil(b"\n\n")
            snapshot[0] = a_worker_in_trouble()
            async with asyncio.timeout(20):
                while b"AccessDenied" not in (await stream.content.readuntil(b"\n\n")):
                    pass

    assert b"No problem is known" in first
    assert stream.content_type == "text/event-stream"


@pytest.mark.parametrize("path", ["/nothing", "/runs/abc", "/live/nothing", "/a/b/../c"])
async def test_an_address_without_a_page_leads_on(visit, path):
    visitor = await visit()

    found = await visitor.get(path)

    assert found.status == 404
    assert "This page does not exist." in found.words
    assert 'aria-label="Sections"' in found.text


async def test_without_settings_the_pages_say_what_is_missing(visit):
    visitor = await visit()

    overview = await visitor.get("/")
    causes = await visitor.get("/dead-letters")
    trace = await visitor.get("/trace?conversation=c0ffee00-0000-4000-8000-000000000001")
    read = await visitor.post("/dead-letters/read", limit="1")

    assert "No worker answers. Start one, or name them: --url http://HOST:PORT" in overview.words
    assert "SQS_QUEUE_URL" in causes.words
    assert "SQS_QUEUE_URL" in trace.words
    assert read.status == 409


async def test_a_queue_that_refuses_is_a_problem_with_its_remedy(sqs, fail, changing):
    await fail(*dead_letters(1))
    sqs.faults.add("ReceiveMessage", ACCESS_DENIED)
    run = await changing.done("/dead-letters/read", limit="1")

    page = await changing.get(f"/runs/{run.number}")

    assert run.state == "failed"
    assert "AccessDenied" in page.words
    assert "sqs:ReceiveMessage" in page.words


@pytest.mark.parametrize("text", ["x", "../../oauth", "c0ffee00", "<script>"])
async def test_what_is_no_id_is_not_searched(visit, queue, text):
    visitor = await visit()

    page = await visitor.get("/trace?conversation=" + text)

    assert "Not a UUID." in page.words
    assert_harmless(page)
