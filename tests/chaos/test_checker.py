"""The checker can fail: each kind of violation is found in a history made up for it."""

from dataclasses import replace

import pytest

from tests.chaos.checker import History, check, dead_lettered_twice
from tests.chaos.effects import Effect
from tests.support.factories import an_id
from worker.demo import Planned, envelope
from worker.jobs.voice.demo import START

CONVERSATION = an_id()


def a_score(disposition="done"):
    body = envelope("voice.analytics", {"conversationId": CONVERSATION}, at=START, event_id=an_id())
    return Planned("voice sentiment", body, disposition=disposition)


def an_effect(**over):
    return Effect(1.0, "records", CONVERSATION, "2026-03-02T10:00:00.000Z")._replace(**over)


def a_history(**over):
    """One score: sent, recorded at 1.0, deleted at 2.0."""
    sound = History(
        sent={"m": a_score()}, deleted_at={"m": 2.0}, effects=[an_effect()], dead_lettered=[]
    )
    return replace(sound, **over)


def promises(history):
    return [violation.promise for violation in check(history)]


def test_a_sound_history_has_no_violation():
    assert check(a_history()) == []


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (a_history(deleted_at={}, left=["m"]), "not settled"),
        (a_history(deleted_at={}), "vanished"),
        (a_history(dead_lettered=["m"]), "dead-lettered though healthy"),
        (a_history(sent={"m": a_score("dead-lettered")}), "deleted without being dead-lettered"),
        (a_history(effects=[]), "deleted without its effect"),
        (a_history(effects=[an_effect(time=3.0)]), "deleted before its effects"),
        (a_history(effects=[an_effect()] * 2), "effect twice at a sink with keys"),
        (
            a_history(
                effects=[
                    an_effect(),
                    an_effect(sink="crm webhook", key="one"),
                    an_effect(sink="crm webhook", key="two"),
                ]
            ),
            "another key at a repeat",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_of_violation_is_found(broken, promise):
    assert promises(broken) == [promise]


def test_a_violation_names_the_message():
    [violation] = check(a_history(effects=[]))

    assert violation.ids == ("m",)


def test_a_repeat_under_the_same_key_is_none():
    hook = an_effect(sink="crm webhook", key="one")

    assert promises(a_history(effects=[an_effect(), hook, hook])) == []


def test_two_dead_letters_of_one_message_are_reported():
    assert dead_lettered_twice(a_history(dead_lettered=["a", "b", "a"])) == ["a"]


def a_chat_end(job):
    body = envelope("chat.end", {"conversationId": CONVERSATION}, at=START, event_id=an_id())
    return Planned("chat end", body, queue_of=job)


@pytest.mark.parametrize(
    ("job", "sink", "promises_broken"),
    [
        ("workflow", "executions", ["deleted before its effects"]),
        ("sentiment", "executions", []),
        ("sentiment", "crm webhook", ["deleted before its effects"]),
        ("workflow", "crm webhook", ["deleted without its effect"]),
        (None, "executions", ["deleted before its effects"]),
    ],
)
def test_on_a_queue_of_its_job_a_message_answers_for_the_sinks_of_that_job(
    job, sink, promises_broken
):
    late = an_effect(sink=sink, time=3.0)

    found = promises(a_history(sent={"m": a_chat_end(job)}, effects=[late]))

    assert found == promises_broken
