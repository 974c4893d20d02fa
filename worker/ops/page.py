"""One snapshot, written for machines, /status, and drawn for people, `/`. Pure.

The console draws with the same elements and the same style.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from worker.ops.status import advice, duration, state_of
from worker.telemetry import InFlight, JobStatus, LastFailure, Problem, QueueStatus, Snapshot
from worker.telemetry.scrub import escape as printable

if TYPE_CHECKING:  # the daemon has its own status to draw, and reads no other's
    from worker.ops.replicas import Queue

VOID = {"input", "link", "meta"}
NOTHING = "\u2014"
PAGES = ("status", "metrics", "readyz", "livez")


def document(now: Snapshot) -> dict[str, Any]:
    """Return the snapshot as /status has it: JSON. Names of jobs may be of a class of their own."""
    shown: dict[str, Any] = _rounded(to_builtins(now, enc_hook=str))
    return shown


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return round(value, 1) if isinstance(value, float) else value


class Markup(str):
    """Text that is markup already; any other text is escaped when it becomes a child."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """Return one element. `class_` is `class`, other underscores are hyphens; None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    end = "" if name in VOID else f"{joined(*children)}</{name}>"
    return Markup(f"<{name}{given}>{end}")


def joined(*parts: str) -> Markup:
    """Return the parts one after the other; plain text among them is escaped.

    So are characters that are not seen and turn what is: a name must not read as another.
    """
    return Markup("".join(p if isinstance(p, Markup) else _escaped(p) for p in parts))


def _escaped(text: str) -> str:
    return escape(printable(text), quote=False)


def html_page(now: Snapshot) -> str:
    """Return the page. It loads nothing, and no script is needed to read it."""
    main = tag(
        "main",
        _header(now),
        problem_cards(now.problems),
        tag("div", *map(_queue, now.queues), class_="queues"),
        panel("Jobs", "runs since the start, by outcome", _jobs(now.jobs)),
        tag(
            "div",
            panel("Upstreams", "of the jobs that are on", _upstreams(now)),
            panel("Dead letters by cause", "of this process", _dead_letters(now)),
            class_="pair",
        ),
        *warning_panels(now.warnings),
    )
    stale = tag("p", "", id="stale", role="status", hidden="")
    body = tag("body", stale, main, _footer(), tag("script", Markup(SCRIPT)))
    return f"<!doctype html>\n{tag('html', _head(now), body, lang='en')}\n"


def _head(now: Snapshot) -> Markup:
    policy = (
        f"default-src 'none'; img-src data:; connect-src 'self'; style-src '{_hash(STYLE)}'; "
        f"script-src '{_hash(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    # For browsers without script; with it, the page is redrawn in place.
    again = tag("noscript", tag("meta", http_equiv="refresh", content="5"))
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        # An empty icon: the browser would ask for one, and report the refusal.
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{state_of(now)[1]} \u2013 {now.host or 'worker'}"),
        tag("style", Markup(STYLE)),
        again,
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _header(now: Snapshot) -> Markup:
    colour, word = state_of(now)
    chips = [tag("li", f"{label} ", tag("b", value)) for label, value in _facts(now)]
    return tag(
        "header",
        tag("h1", now.host or "worker"),
        tag("p", word, class_=f"pill {colour}"),
        tag("p", now.why, class_="why") if now.starting or now.draining else "",
        tag("ul", *chips, class_="chips"),
    )


def _facts(now: Snapshot) -> Iterator[tuple[str, str]]:
    yield "as of", now.taken.replace("T", " ").replace("+00:00", " UTC")
    yield "version", now.version
    yield "up for", duration(now.uptime_seconds)
    yield "permits in use", f"{now.permits_used} of {now.concurrency}"
    if now.last_success_seconds_ago is not None:
        yield "last success", f"{duration(now.last_success_seconds_ago)} ago"
    yield "instance", now.instance


def problem_cards(problems: Iterable[Problem]) -> Markup:
    """Return what is wrong and what to do, or that nothing is known to be wrong."""
    cards = [
        tag(
            "li",
            tag("p", one.where, class_="where"),
            tag("p", one.cause, class_="cause"),
            tag("p", tag("b", "What to do: "), with_code(advice(one)), class_="remedy"),
            class_=f"problem {'warn' if one.heals else 'bad'}",
        )
        for one in problems
    ]
    if not cards:
        return tag("p", "No problem is known.", class_="fine")
    return tag("ul", *cards, class_="problems", aria_label="Problems")


def with_code(text: str) -> Markup:
    """Return text of ours, what stands between backticks as code."""
    parts = text.split("`")
    return joined(*(tag("code", part) if i % 2 else part for i, part in enumerate(parts)))


def _queue(queue: QueueStatus) -> Markup:
    return tag(
        "section",
        tag("h2", queue.name),
        tag("p", f"gate {queue.gate.replace('_', '-')}", class_=f"badge {colour_of(queue.gate)}"),
        tag("p", f"jobs: {', '.join(queue.jobs) or NOTHING}", class_="note"),
        tag("p", queue.why, class_="why"),
        queue_figures(queue),
        _in_flight(queue.oldest),
        class_="panel queue",
    )


def queue_figures(queue: "QueueStatus | Queue") -> Markup:
    """Return how many messages a queue has, by where they are."""
    figures = (
        ("Visible", queue.visible),
        ("In flight", queue.in_flight),
        ("Invisible", queue.invisible),
        ("Dead letters", queue.dead_letters),
    )
    shown = [tag("div", tag("dt", label), tag("dd", count_of(value))) for label, value in figures]
    return tag("dl", *shown, class_="figures")


def count_of(value: int | None) -> str:
    """Return a number with separators; a dash for one that is not known."""
    return NOTHING if value is None else f"{value:,}"


def colour_of(state: str) -> str:
    """Return the class of a badge that shows the state of a gate."""
    return {"open": "good", "half_open": "warn", "closed": "bad"}.get(state, "off")


def _in_flight(messages: Iterable[InFlight]) -> Markup:
    rows = [
        (tag("code", one.message_id), ", ".join(one.jobs) or NOTHING, one.phase, _for(one.seconds))
        for one in messages
    ]
    return table_of(("Message in flight", "Job", "Phase", "For"), rows, "No message is in flight.")


def _for(seconds: float) -> Markup:
    return tag("span", duration(seconds), class_="number")


def _jobs(jobs: Iterable[JobStatus]) -> Markup:
    rows = [
        (
            tag("b", job.name),
            joined(
                tag("span", job.state.replace("_", "-"), class_=f"badge {colour_of(job.state)}"),
                tag("span", f" {job.reason}") if job.reason else "",
            ),
            outcomes_of(job.outcomes),
            failure_of(job.last_failure),
        )
        for job in jobs
    ]
    return table_of(("Job", "State", "Outcomes", "Last failure"), rows, "No job is known yet.")


def outcomes_of(outcomes: Mapping[str, int]) -> str:
    """Return counts by name, without those that are zero."""
    done = [joined(f"{name} ", tag("b", f"{n:,}")) for name, n in outcomes.items() if n]
    return tag("ul", *(tag("li", one) for one in done), class_="counts") if done else NOTHING


def failure_of(failure: LastFailure | None) -> str:
    """Return when a job failed last, and why."""
    if failure is None:
        return NOTHING
    ago = f"{duration(failure.seconds_ago)} ago: {failure.reason} "
    return joined(ago, tag("code", failure.fingerprint))


def _upstreams(now: Snapshot) -> Markup:
    ill = {one.name for one in now.upstreams}
    well = sorted({name for queue in now.queues for name in queue.upstreams} - ill)
    rows = [
        (tag("b", one.name), one.breaker.replace("_", "-"), one.reason or NOTHING)
        for one in now.upstreams
    ]
    table = table_of(("Upstream", "Breaker", "Why"), rows, "No upstream is known to be down.")
    closed = [tag("p", f"Breaker closed: {', '.join(well)}.", class_="note")] if well else []
    return joined(table, *closed)


def _dead_letters(now: Snapshot) -> Markup:
    rows = [
        (
            joined(one.reason, " ", tag("code", one.fingerprint)),
            one.job or NOTHING,
            tag("span", f"{one.dead_letters:,}", class_="number"),
            tag("span", f"{one.held_back:,}", class_="number"),
        )
        for one in now.dead_letter_causes
    ]
    table = table_of(("Cause", "Job", "Dead letters", "Held back"), rows, "None since the start.")
    all_of_them = with_code("`worker dlq list` reads the whole dead-letter queue.")
    return joined(table, tag("p", all_of_them, class_="note"))


def warning_panels(warnings: Iterable[str]) -> Iterator[Markup]:
    """Yield a panel with the warnings; none without any."""
    items = [tag("li", one) for one in warnings]
    if items:
        note = with_code("found at the start; `worker explain CODE` says more")
        yield panel("Warnings", note, tag("ul", *items, class_="warnings"))


def panel(title: str, note: str, *content: str) -> Markup:
    """Return a section with a title."""
    below = tag("p", note, class_="note") if note else ""
    return tag("section", tag("h2", title), below, *content, class_="panel")


def table_of(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], empty: str) -> Markup:
    """Return a table; where it is narrow each cell gets its head as a label."""
    if not rows:
        return tag("p", empty, class_="empty")
    lines = [
        tag("tr", *(tag("td", tag("div", c), data_head=h) for h, c in zip(heads, row, strict=True)))
        for row in rows
    ]
    top = tag("tr", *(tag("th", head, scope="col") for head in heads))
    return tag("table", tag("thead", top), tag("tbody", *lines))


def _footer() -> Markup:
    links = [part for name in PAGES for part in (tag("a", f"/{name}", href=f"/{name}"), " ")]
    all_of_them = with_code("One replica. All of them: `worker status --url http://NAME:PORT`. ")
    return tag("footer", tag("p", all_of_them, *links))


SCRIPT = """
"use strict";
const EVERY = 2000, stale = document.getElementById("stale");
let answered = Date.now();
async function redraw() {
  try {
    const reply = await fetch(location.href, {signal: AbortSignal.timeout(4000)});
    const next = new DOMParser().parseFromString(await reply.text(), "text/html");
    const main = next.querySelector("main");
    if (!reply.ok || !main) throw new Error("no page");
    if (getSelection().isCollapsed) {
      document.querySelector("main").replaceWith(document.adoptNode(main));
      document.title = next.title;
    }
    answered = Date.now();
  } catch {}
  const seconds = Math.round((Date.now() - answered) / 1000);
  stale.hidden = seconds < 5;
  stale.textContent = `No answer for ${seconds} s: what is below is old.`;
  setTimeout(redraw, document.hidden ? 5 * EVERY : EVERY);
}
setTimeout(redraw, EVERY);
"""

STYLE = """
:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--ink:#171b26;--soft:#5c6475;
--line:#e3e6ec;--good:#12764f;--good-bg:#dff5ea;--warn:#8a5300;--warn-bg:#fdf0d5;--bad:#b3261e;
--bad-bg:#fde7e5;--code:#eef0f4}
@media (prefers-color-scheme:dark){:root{--page:#0f1219;--card:#181c26;--ink:#eef0f5;--soft:#9aa3b5;
--line:#2a3040;--good:#5fd6a5;--good-bg:#12352a;--warn:#f2bd62;--warn-bg:#3a2c10;--bad:#ff9d94;
--bad-bg:#43191a;--code:#232836}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 ui-sans-serif,system-ui,
-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main,footer{max-width:1240px;margin:0 auto;padding:32px 24px 0}
header{display:flex;flex-wrap:wrap;align-items:center;gap:8px 14px;margin-bottom:20px}
h1{font-size:26px;line-height:1.2;letter-spacing:-.02em;margin:0}
h2{font-size:16px;font-weight:650;margin:0}
p{margin:0}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--code);
border-radius:5px;padding:1px 5px}
.pill,.badge{border-radius:99px;font-weight:600;white-space:nowrap}
.pill{padding:4px 14px;font-size:15px}
.badge{display:inline-block;padding:1px 9px;font-size:12.5px}
.good{color:var(--good);background:var(--good-bg)}
.warn{color:var(--warn);background:var(--warn-bg)}
.bad{color:var(--bad);background:var(--bad-bg)}
.off{color:var(--soft);background:var(--code)}
.chips,.problems,.counts{list-style:none;margin:0;padding:0}
.chips{display:flex;flex-wrap:wrap;gap:2px 18px;width:100%;font-size:13px;color:var(--soft)}
.chips b{color:var(--ink);font-weight:600}
.problems{display:grid;gap:10px;margin-bottom:14px}
.problem{border-radius:12px;border-left:5px solid;padding:12px 18px}
.problem .where{font-size:13px;font-weight:600}
.problem .cause{font-size:17px;font-weight:650;line-height:1.35}
.problem .remedy{color:var(--ink);margin-top:4px}
.fine{color:var(--good);font-weight:600;margin-bottom:14px}
.queues,.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,480px),1fr));
gap:14px;align-items:start}
.panel{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:18px 20px;
margin-bottom:14px;min-width:0}
.queues .panel{margin-bottom:0}
.queues{margin-bottom:14px}
.queue{display:grid;grid-template-columns:1fr auto;gap:2px 12px}
.queue>:not(h2,.badge){grid-column:1/-1}
.queue .badge{align-self:center}
.note{font-size:13px;color:var(--soft)}
.queue .why{margin:6px 0}
.figures{display:grid;grid-template-columns:repeat(4,1fr);gap:8px;margin:4px 0 10px}
.figures dt{font-size:12.5px;color:var(--soft)}
.figures dd{margin:0;font-size:22px;font-weight:650;letter-spacing:-.02em;line-height:1.25}
table{border-collapse:collapse;width:100%;font-size:14px;margin:8px 0 4px}
th,td{padding:6px 12px 6px 0;text-align:left;vertical-align:top;border-top:1px solid var(--line)}
td>div{min-width:6em}
th{font-size:12.5px;font-weight:500;color:var(--soft);border:0}
.number{white-space:nowrap}
.counts{display:flex;flex-wrap:wrap;gap:0 14px}
.empty{color:var(--soft);font-size:14px;margin:8px 0 4px}
.warnings{margin:8px 0 0;padding-left:20px}
footer{padding-bottom:40px;font-size:13px;color:var(--soft)}
a{color:inherit}
#stale{position:sticky;top:0;z-index:1;padding:10px 24px;font-weight:650;text-align:center;
color:var(--bad);background:var(--bad-bg)}
@media (max-width:640px){main,footer{padding-left:12px;padding-right:12px}
main{padding-top:18px}
.panel{padding:14px}
.figures{grid-template-columns:repeat(2,1fr)}
thead{display:none}
tr{display:block;padding:6px 0;border-top:1px solid var(--line)}
td{display:grid;grid-template-columns:96px minmax(0,1fr);border:0;padding:2px 0}
td::before{content:attr(data-head);font-size:12.5px;color:var(--soft)}}
"""
