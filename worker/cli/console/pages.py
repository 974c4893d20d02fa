"""The console's pages about the workers, and the frame of all pages. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from msgspec.structs import replace

from worker.cli.trace import Place, masked, place_line, utc
from worker.findings import TraceEntry
from worker.ops import page
from worker.ops.page import Markup, joined, panel, table_of, tag
from worker.ops.replicas import NO_WORKER, Overview, Queue, Replica
from worker.ops.status import counted, duration, state_of
from worker.telemetry import QueueStatus

OWN_STYLE = Path(__file__).with_name("console.css").read_text(encoding="utf-8")
STYLE = page.STYLE + OWN_STYLE
SCRIPT = Path(__file__).with_name("console.js").read_text(encoding="utf-8")

SECTIONS = {
    "/": "Overview",
    "/dead-letters": "Dead letters",
    "/jobs": "Jobs",
    "/upstreams": "Upstreams",
    "/trace": "Trace",
}
REFRESH_SECONDS = 5
"""Of a live page in a browser without script."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What all pages of one console have in common."""

    token: str
    """Of its forms."""

    changes: bool
    """Whether it may redrive and delete."""

    def page(self, title: str, path: str, *content: str, live: bool = False) -> str:
        """Return a whole page; `path` is that of its section, `live` that a part renews itself."""
        main = tag("main", tag("h1", title), *content, id="main", tabindex="-1")
        stale = tag("p", "", id="stale", role="status", hidden="")
        skip = tag("a", "Skip to the content", href="#main", class_="skip")
        body = tag("body", skip, stale, self._header(path), main)
        return f"<!doctype html>\n{tag('html', _head(title, live=live), body, lang='en')}\n"

    def form(self, path: str, /, *content: str, **hidden: str) -> Markup:
        """Return a form that changes something or reads a queue."""
        given = {"token": self.token, **hidden}
        fields = [tag("input", type="hidden", name=name, value=v) for name, v in given.items()]
        return tag("form", *fields, *content, method="post", action=path, class_="form")

    def _header(self, path: str) -> Markup:
        links = [
            tag("li", tag("a", name, href=where, aria_current="page" if where == path else None))
            for where, name in SECTIONS.items()
        ]
        mode = ("warn", "changes allowed") if self.changes else ("off", "read-only")
        return tag(
            "header",
            tag("p", "worker console", class_="brand"),
            tag("nav", tag("ul", *links), aria_label="Sections"),
            tag("p", mode[1], class_=f"badge {mode[0]}"),
            class_="top",
        )


def _head(title: str, *, live: bool) -> Markup:
    again = tag("noscript", tag("meta", http_equiv="refresh", content=str(REFRESH_SECONDS)))
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        # An empty icon: the browser would ask for one.
        tag("link", rel="icon", href="data:,"),
        tag("link", rel="stylesheet", href="/console.css"),
        tag("title", f"{title} \u2013 worker console"),
        tag("script", "", src="/console.js", defer=""),
        again if live else "",
    )


def live(path: str, content: str) -> Markup:
    """Return a part of a page that is replaced by what the server sends on that path."""
    return tag("div", content, data_live=path)


def alert(text: str) -> Markup:
    """Return why something was not done."""
    return tag("p", text, class_="alert", role="alert")


def link(text: str, path: str, **query: str) -> Markup:
    """Return a link to a page of ours."""
    return tag("a", text, href=f"{path}?{urlencode(query)}" if query else path)


def missing(problems: Sequence[str]) -> Markup:
    """Return which settings a page needs and does not have."""
    items = [tag("li", problem) for problem in problems]
    return panel(
        "Settings are missing",
        "Start the console with the worker's environment, or --env-file. It lacks:",
        tag("ul", *items, class_="warnings"),
    )


def overview(now: Overview) -> Markup:
    """Return all replicas and queues together."""
    problems = [replace(one, where=_where(one.where, who, now)) for one, who in now.problems]
    return joined(
        _summary(now),
        *_silence(now),
        page.problem_cards(problems) if problems or not now.silent else "",
        panel("Replicas", "each address that was asked", _replicas(now)),
        tag("div", *(_queue(one, now) for one in now.queues), class_="queues"),
        panel("Messages in flight", "those that are longest in their phase", _in_flight(now)),
        panel("Dead letters by cause", "of these processes, since their start", _causes(now)),
        *page.warning_panels(now.warnings),
    )


def _where(where: str, who: Sequence[str], now: Overview) -> str:
    return f"{where} on {', '.join(who)}" if len(now.replicas) > 1 else where


def _summary(now: Overview) -> Markup:
    count, answers = len(now.replicas), len(now.replicas) - len(now.silent)
    taken = f"{now.taken:%Y-%m-%d %H:%M:%S} UTC"
    return tag("p", f"Replicas that answer: {answers} of {count}; as of {taken}", class_="note")


def _silence(now: Overview) -> Iterator[Markup]:
    silent, count = len(now.silent), len(now.replicas)
    if silent == count:
        yield tag("p", page.with_code(NO_WORKER), class_="alert")
    elif silent:
        text = f"{counted(silent, 'replica does', 'replicas do')} not answer: all sums are without "
        text += "it." if silent == 1 else "them."
        yield tag("p", text, class_="alert")


def _replicas(now: Overview) -> Markup:
    heads = ("Replica", "Address", "State", "Up for", "Permits", "Version")
    rows = [(tag("b", one.name), one.address, *_state(one)) for one in now.replicas]
    return table_of(heads, rows, "No address was asked.")


def _state(one: Replica) -> tuple[str, str, str, str]:
    if (now := one.status) is None:
        state = joined(_badge("bad", "no answer"), f" {one.problem}")
        return state, page.NOTHING, page.NOTHING, page.NOTHING
    colour, word = state_of(now)
    why = "; ".join(now.not_ready_because)
    state = joined(_badge(colour, word), f" {why}" if why else "")
    permits = f"{now.permits_used} of {now.concurrency}"
    return state, duration(now.uptime_seconds), permits, now.version


def _badge(colour: str, text: str) -> Markup:
    return tag("span", text, class_=f"badge {colour}")


def _gate(gate: str) -> Markup:
    return _badge(page.colour_of(gate), gate.replace("_", "-"))


def _queue(queue: Queue, now: Overview) -> Markup:
    seen = list(queue.replicas.values())
    gates = {one.gate for one in seen}
    gate = f"gate {gates.copy().pop().replace('_', '-')}" if len(gates) == 1 else "gates differ"
    colour = page.colour_of(gates.pop()) if len(gates) == 1 else "warn"
    jobs = dict.fromkeys(job for one in seen for job in one.jobs)
    return tag(
        "section",
        tag("h2", queue.name),
        tag("p", gate, class_=f"badge {colour}"),
        tag("p", f"jobs: {', '.join(jobs) or page.NOTHING}", class_="note"),
        *(tag("p", one.why, class_="why") for one in seen if len(now.replicas) == 1),
        page.queue_figures(queue),
        _gates(queue, now) if len(now.replicas) > 1 else "",
        class_="panel queue",
    )


def _gates(queue: Queue, now: Overview) -> Markup:
    """Return why it moves, or does not, on each replica, also on a silent one."""
    rows = [_gate_row(one, queue.replicas.get(one.name)) for one in now.replicas]
    heads = ("Replica", "Gate", "In flight", "Why")
    return table_of(heads, [row for row in rows if row], "No replica has this queue.")


def _gate_row(replica: Replica, seen: QueueStatus | None) -> tuple[str, ...]:
    if seen is not None:
        return tag("b", replica.name), _gate(seen.gate), f"{seen.in_flight:,}", seen.why
    if replica.status is None:
        return tag("b", replica.name), _badge("bad", "unknown"), page.NOTHING, replica.problem
    return ()


def _in_flight(now: Overview) -> Markup:
    rows = [
        (
            tag("code", one.message_id),
            ", ".join(one.jobs) or page.NOTHING,
            one.phase,
            duration(one.seconds),
            who,
        )
        for who, one in now.oldest
    ]
    heads = ("Message in flight", "Job", "Phase", "For", "Replica")
    return table_of(heads, rows, "No message is in flight.")


def _causes(now: Overview) -> Markup:
    rows = [
        (
            joined(
                link(one.reason, "/dead-letters/cause", fingerprint=one.fingerprint),
                " ",
                tag("code", one.fingerprint),
            ),
            one.job or page.NOTHING,
            f"{one.dead_letters:,}",
            f"{one.held_back:,}",
        )
        for one in now.causes
    ]
    table = table_of(("Cause", "Job", "Dead letters", "Held back"), rows, "None since the start.")
    return joined(table, tag("p", link("All dead letters", "/dead-letters"), class_="note"))


def jobs(now: Overview) -> Markup:
    """Return all jobs: where they are on, what came of their runs, and what they lack."""
    rows = []
    for job, states in now.jobs:
        by_state = [
            joined(_gate(state), f" {', '.join(who)} " if len(now.replicas) > 1 else " ")
            for state, who in states.items()
        ]
        runs = page.outcomes_of(job.outcomes)
        state = joined(*by_state, job.reason)
        rows.append((tag("b", job.name), state, runs, page.failure_of(job.last_failure)))
    table = table_of(("Job", "State", "Outcomes", "Last failure"), rows, "No job is known.")
    problems = [one for job, _ in now.jobs for one in job.problems]
    note = "runs of all replicas since their start, by outcome"
    return joined(
        _summary(now),
        *_silence(now),
        page.problem_cards(problems) if problems else "",
        panel("Jobs", note, table),
    )


def upstreams(now: Overview) -> Markup:
    """Return the upstreams that are not healthy, and the names of all others."""
    rows = [
        (
            tag("b", one.name),
            one.breaker.replace("_", "-"),
            one.reason or page.NOTHING,
            duration(one.pause_seconds) if one.pause_seconds else page.NOTHING,
            ", ".join(who),
        )
        for one, who in now.upstreams
    ]
    heads = ("Upstream", "Breaker", "Why", "Pause left", "Replicas")
    unhealthy = {one.name for one, _ in now.upstreams}
    seen = [one for queue in now.queues for one in queue.replicas.values()]
    healthy = sorted({name for one in seen for name in one.upstreams} - unhealthy)
    users = [(tag("b", name), _badge("good", "closed"), _jobs_of(name, seen)) for name in healthy]
    return joined(
        _summary(now),
        *_silence(now),
        panel("Not healthy", "", table_of(heads, rows, "No upstream is known to be down.")),
        panel("Healthy", "", table_of(("Upstream", "Breaker", "Jobs"), users, "None is known.")),
    )


def _jobs_of(upstream: str, seen: Iterable[QueueStatus]) -> str:
    names = {job for one in seen if upstream in one.upstreams for job in one.jobs}
    return ", ".join(sorted(names)) or page.NOTHING


def trace_form(conversation: str, problem: str = "") -> Markup:
    """Return the form that asks for a conversation."""
    field = tag(
        "input",
        name="conversation",
        value=conversation,
        id="conversation",
        required="",
        autocomplete="off",
        spellcheck="false",
        placeholder="c0ffee00-0000-4000-8000-000000000001",
        aria_describedby="trace-problem",
    )
    return tag(
        "form",
        tag("label", "Conversation id", for_="conversation"),
        field,
        tag("button", "Trace"),
        tag("p", problem, id="trace-problem", class_="error", role="alert") if problem else "",
        method="get",
        action="/trace",
        class_="form",
    )


def trace(found: Sequence[tuple[TraceEntry, str]], places: Sequence[Place]) -> Markup:
    """Return what every job did for a conversation, and what was searched."""
    rows = [
        (
            f"{utc(one.time):%Y-%m-%d %H:%M:%S.%f}"[:-3] if one.time else page.NOTHING,
            masked(one.job or page.NOTHING),
            masked(one.what),
            masked(one.state),
            joined(f"{masked(where)} ", tag("code", masked(one.id))),
        )
        for one, where in found
    ]
    heads = ("Time (UTC)", "Job", "What", "State", "Where and id")
    lines = [tag("li", place_line(place)) for place in places]
    return joined(
        panel("Found", "in order of time", table_of(heads, rows, "Nothing was found.")),
        panel("Searched", "", tag("ul", *lines, class_="warnings")),
    )
