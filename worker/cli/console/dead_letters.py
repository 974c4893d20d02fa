"""The console's pages about dead letters: causes, those of a cause, one message, runs. Pure.

A message's body is on none of them but the one that was asked for it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Any

from worker.cli.console.pages import Frame, link, live
from worker.cli.console.runs import DeadLetters, Run
from worker.cli.dlq.output import (
    DONE,
    age_of,
    ago,
    dead_letter_as_dict,
    messages,
    others_stay,
    progress_text,
)
from worker.cli.dlq.reader import Cause, DeadLetter, NotDecoded, name_of
from worker.ops.page import NOTHING, Markup, joined, panel, table_of, tag, with_code
from worker.telemetry.scrub import clean

PATH = "/dead-letters"
MESSAGES_A_PAGE = 100
MOST_READ = 10_000
READ_BY_DEFAULT = 1_000
RATES = {"redrive": "10", "delete": "100"}
"""Messages per second that a form begins with, as `worker dlq` does."""

CELL_CHARACTERS = 400
LEAST_RATE, MOST_RATE = 0.1, 1_000
INVISIBLE = (
    "SQS shows messages only to those who receive them: while they are read they are invisible to "
    "others, and visible again at the end."
)
_CONVERSATION = re.compile(r'"conversationId"\s*:\s*"([0-9a-fA-F-]{36})"')


def causes(work: DeadLetters, frame: Frame) -> Markup:
    """Return what was read by cause, and the form that reads."""
    reading = work.reading
    shown = _causes_read(reading, work) if reading else panel("Causes", "Nothing was read yet.")
    return joined(_read_form(frame), shown, _runs(work.runs))


def _read_form(frame: Frame) -> Markup:
    limit = _number("limit", "Messages at most", READ_BY_DEFAULT, 1, MOST_READ)
    form = frame.form(f"{PATH}/read", *limit, tag("button", "Read the dead letters"))
    return panel("Read", INVISIBLE, form)


def _causes_read(run: Run, work: DeadLetters) -> Markup:
    rows = [_cause_row(one) for one in run.tally.causes.most_first()]
    heads = ("Cause", "Messages", "Jobs", "Queues", "Failed first", "Failed last")
    table = table_of(heads, rows, "No dead letter was read.")
    return panel("Causes", _read_note(run, work), table)


def _read_note(run: Run, work: DeadLetters) -> str:
    """Return how much was read, when, and whether it may have changed since."""
    read = f"{len(run.found):,} of about {messages(max(run.tally.depth, len(run.found)))} read"
    note = f"{read}, {ago(run.began_at)}"
    if run.problem:
        note += f": {clean(run.problem)}"
    if work.changed_since(run):
        note += ". Messages were redriven or deleted since: read again to see what is left"
    return f"{note}."


def _cause_row(cause: Cause) -> tuple[str, ...]:
    first, last = cause.first_failure, cause.last_failure
    return (
        joined(
            link(_short(cause.reason), f"{PATH}/cause", fingerprint=cause.fingerprint),
            " ",
            tag("code", _short(cause.fingerprint)),
        ),
        tag("b", f"{cause.count:,}"),
        _short(", ".join(sorted(cause.jobs))) or NOTHING,
        _short(", ".join(sorted(cause.queues))) or NOTHING,
        ago(first) if first else NOTHING,
        ago(last) if last else NOTHING,
    )


def _short(text: str) -> str:
    """Return text of any sender for a place where others stand beside it."""
    return clean(text, CELL_CHARACTERS)


def _runs(runs: Sequence[Run]) -> Markup:
    rows = [
        (link(f"{one.number}: {name_of_run(one)}", f"/runs/{one.number}"), one.state, _did(one))
        for one in reversed(runs)
    ]
    heads = ("Run", "State", "Result")
    return panel("Runs", "of this console", table_of(heads, rows, "None yet."))


def _did(run: Run) -> str:
    if run.order is None:
        return f"{len(run.found) or run.tally.causes.total:,} read"
    if not run.order.apply:
        return f"{run.to_do:,} would be {DONE[run.order.action]}"
    return f"{run.tally.done:,} {DONE[run.order.action]}"


def name_of_run(run: Run) -> str:
    """Return what a run does."""
    if run.order is None:
        return "read"
    return run.order.action if run.order.apply else f"dry run of {run.order.action}"


def cause(fingerprint: str, work: DeadLetters, frame: Frame, first: int = 0) -> Markup:
    """Return the dead letters of a cause, from a place on; when none was read, the form for it."""
    run = work.reading
    found = [one for one in run.found if one.fingerprint == fingerprint] if run else []
    if run is None or not found:
        return joined(tag("p", "No dead letter of this cause was read."), _read_form(frame))
    shown = found[first : first + MESSAGES_A_PAGE]
    reasons = dict.fromkeys(clean(one.reason) for one in found)
    heads = ("Message", "Job", "Queue", "Failed last", "Receives", "Bytes")
    table = table_of(heads, [_message_row(one) for one in shown], "None.")
    links = _page_links(fingerprint, first, len(found))
    return joined(
        *(tag("p", reason, class_="cause") for reason in reasons),
        tag("p", "fingerprint ", tag("code", clean(fingerprint)), class_="note"),
        _actions(frame, "--fingerprint", fingerprint=fingerprint),
        panel(messages(len(found)), _read_note(run, work), table, *links),
    )


def _message_row(dead_letter: DeadLetter) -> tuple[str, ...]:
    message, queue = dead_letter.message, dead_letter.queue_url or dead_letter.message.moved_from
    return (
        link(message.id, f"{PATH}/message", id=message.id),
        clean(dead_letter.job or NOTHING),
        clean(name_of(queue)) if queue else NOTHING,
        ago(dead_letter.failed_at) if dead_letter.failed_at else NOTHING,
        str(message.receive_count),
        f"{len(message.body.encode()):,}",
    )


def _page_links(fingerprint: str, first: int, count: int) -> Iterator[Markup]:
    path = f"{PATH}/cause"
    links = []
    if first > 0:
        before = str(max(0, first - MESSAGES_A_PAGE))
        links.append(link("Previous", path, fingerprint=fingerprint, first=before))
    if first + MESSAGES_A_PAGE < count:
        after = str(first + MESSAGES_A_PAGE)
        links.append(link("Next", path, fingerprint=fingerprint, first=after))
    if links:
        to = min(first + MESSAGES_A_PAGE, count)
        yield tag("p", f"{first + 1:,} to {to:,} of {count:,} ", *links, class_="note links")


def message(dead_letter: DeadLetter, work: DeadLetters, frame: Frame, *, with_body: bool) -> Markup:
    """Return one message; its body, personal data, only if that was asked for."""
    facts = dict(dead_letter_as_dict(dead_letter, with_body=with_body))
    body, failure = facts.pop("body", None), facts.pop("failure")
    show = frame.form(
        f"{PATH}/message/body", tag("button", "Show the body"), id=dead_letter.message.id
    )
    note = "It may hold personal data; that it was shown is written to the log."
    shown = tag("pre", *_lines(body or "")) if with_body else show
    back = link(
        "All dead letters of the cause", f"{PATH}/cause", fingerprint=dead_letter.fingerprint
    )
    return joined(
        tag("p", back, *_trace_link(dead_letter), class_="note links"),
        panel("Message", _read_note(work.reading, work) if work.reading else "", _facts(facts)),
        panel("Failure record", "as the worker wrote it, or any other sender", _facts(failure)),
        panel("Body", note, shown),
        _actions(frame, "--message", message=dead_letter.message.id),
    )


def _lines(body: str) -> Iterator[str]:
    """Yield text whose line feeds are what they are, and not shown as characters."""
    for line in body.split("\n"):
        yield from (line, Markup("\n"))


def _trace_link(dead_letter: DeadLetter) -> Iterator[Markup]:
    try:
        found = _CONVERSATION.search(dead_letter.original().body)
    except NotDecoded:
        return
    if found:
        yield link("Trace of its conversation", "/trace", conversation=found[1])


def search_form(conversation: str, frame: Frame) -> Markup:
    """Return the form by which a trace reads the dead-letter queues, too."""
    button = tag("button", "Search the dead-letter queues, too")
    note = tag("p", INVISIBLE, class_="note")
    return frame.form("/trace", button, note, conversation=conversation)


def _facts(facts: Mapping[str, Any]) -> Markup:
    pairs = [
        part
        for name, value in facts.items()
        if value not in (None, [], "")
        for part in (tag("dt", _short(str(name))), tag("dd", _short(_text(value)), age_of(value)))
    ]
    return tag("dl", *pairs, class_="facts") if pairs else tag("p", "None.", class_="empty")


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _actions(frame: Frame, option: str, **selected: str) -> Markup:
    """Return the forms of dry runs; in a console that may change nothing, the command."""
    if not frame.changes:
        # Quoted: a fingerprint is any sender's text, and the line is to be pasted into a shell.
        (name,) = (quote(clean(one)) for one in selected.values())
        command = tag("code", f"worker dlq redrive {option} {name}")
        note = "This console is read-only: it was started without --allow-changes."
        return panel("Redrive or delete", note, tag("p", "On the command line: ", command))
    forms = [
        frame.form(
            f"{PATH}/dry-run",
            tag("button", f"Dry run: {action}"),
            tag("span", what, class_="note"),
            action=action,
            **selected,
        )
        for action, what in (
            ("redrive", "back to their queues, as they were"),
            ("delete", "for good"),
        )
    ]
    note = "A dry run counts what would be done; it is asked again before anything is changed."
    return panel("Redrive or delete", note, *forms)


def run(run: Run, frame: Frame) -> Markup:
    """Return how far a run is, or what came of it, and what can be done then."""
    if not run.is_over:
        # Outside of the part that renews itself: a button that is replaced loses its click.
        stop = frame.form(f"/runs/{run.number}/stop", tag("button", "Stop"))
        return joined(live(f"/live/runs/{run.number}", progress(run)), stop)
    if run.order is not None and run.can_be_applied and frame.changes:
        return joined(progress(run), _apply_form(run, run.order.action, frame))
    links = [link("Dead letters", PATH)]
    if run.applied_by is not None:
        number = run.applied_by.number
        links.append(link(f"Applied by run {number}", f"/runs/{number}"))
    return joined(progress(run), tag("p", *links, class_="links"))


def _apply_form(run: Run, action: str, frame: Frame) -> Markup:
    rate = _number("rate", "Messages per second at most", RATES[action], LEAST_RATE, MOST_RATE)
    sure: tuple[Markup, ...] = ()
    if action == "delete":
        box = tag("input", type="checkbox", name="sure", value="yes", required="", id="sure")
        sure = (
            tag("p", box, tag("label", f" Delete {messages(run.to_do)} for good", for_="sure")),
        )
    button = tag(
        "button",
        f"{action.capitalize()} {messages(run.to_do)}",
        class_="danger" if action == "delete" else None,
    )
    form = frame.form(f"/runs/{run.number}/apply", *rate, *sure, button)
    note = "Messages that came after the dry run stay. It can be stopped between two batches."
    return panel(f"{action.capitalize()} them", note, form)


def _number(name: str, label: str, value: object, least: object, most: object) -> list[Markup]:
    field = tag(
        "input",
        type="number",
        id=name,
        name=name,
        value=value,
        min=least,
        max=most,
        step="any" if isinstance(least, float) else None,
        required="",
    )
    return [tag("label", label, for_=name), field]


def progress(run: Run) -> Markup:
    """Return how far it is: a bar, numbers, and what was selected."""
    done, total = _progress(run)
    text = _result(run) if run.is_over else progress_text(run.tally, run.elapsed())
    if run.of is not None and not run.is_over:
        text = f"{_did(run)} of {run.of.to_do:,}; {text}"
    state = {"ended": "good", "failed": "bad"}.get(run.state, "warn")
    return joined(
        tag("p", tag("span", run.state, class_=f"badge {state}"), f" {name_of_run(run)}"),
        tag("progress", value=done, max=max(total, 1), aria_label="Progress"),
        tag("p", clean(text), class_="why"),
        tag("p", clean(run.problem), class_="alert") if run.problem else "",
        *_left_over(run),
        _selected(run),
    )


def _progress(run: Run) -> tuple[int, int]:
    tally = run.tally
    if run.of is not None:
        return tally.done + tally.not_sent + tally.not_deleted, run.of.to_do
    read = tally.causes.total + tally.others
    if run.state == "ended":
        return 1, 1
    return read, min(tally.depth, run.limit) if run.order is None else tally.depth


def _result(run: Run) -> str:
    took = f"in {run.seconds:.1f} s"
    if run.order is None:
        return f"{_did(run)} of about {run.tally.depth:,} {took}."
    places = [f"{name} {count:,}" for name, count in sorted(run.tally.destinations.items())]
    where = f" ({', '.join(places)})" if places else ""
    tried = f" of {run.of.to_do:,}" if run.of else ""
    unchanged = "" if run.order.apply else " Nothing was changed."
    return f"{_did(run)}{tried}{where}, {others_stay(run.tally)}; {took}.{unchanged}"


def _left_over(run: Run) -> Iterator[Markup]:
    tally = run.tally
    if tally.newer:
        yield tag("p", f"{messages(tally.newer)} came later and will stay.")
    for why, count in sorted(tally.unaddressed.items()):
        line = f"{count:,} without a queue: {clean(why)}. `worker dlq redrive --to URL` sends them."
        yield tag("p", with_code(line))
    if tally.failed:
        codes = clean(", ".join(sorted(tally.problems)))
        left = f"{tally.not_sent:,} not sent, {tally.not_deleted:,} not deleted: {codes}."
        yield tag("p", f"{left} What failed stays.", class_="alert")


def _selected(run: Run) -> Markup:
    rows = [_cause_row(one) for one in run.tally.causes.most_first()]
    heads = ("Cause", "Messages", "Jobs", "Queues", "Failed first", "Failed last")
    return panel("Selected", "", table_of(heads, rows, "Nothing so far."))
