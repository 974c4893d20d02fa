"""The table of what the client sends, by each reference text and on the platform, from the code."""

import json
from datetime import UTC, datetime

from worker.clients.genesys.details_query import Slice, Wanted
from worker.clients.genesys.dialects import PROFILES, Platform, Reference
from worker.clients.genesys.filters import Filters
from worker.clients.genesys.speech import is_analysed, sentiment_metrics
from worker.clients.http_types import Reply
from worker.errors import Misconfigured

ID = "c0ffee00-0000-4000-8000-000000000001"
QUEUE = "9e000000-0000-4000-8000-000000000001"
AT = datetime(2026, 3, 7, tzinfo=UTC)
DAY = Slice(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
NUMBER = {"phone_number": "…"}
VALUES = {"ltv": 12500.5, "vip": True, "renewal": "2026-09-30"}
AS_TEXT = {"ltv": "12500.5", "vip": "true", "renewal": "2026-09-30"}
MARK = {"forwardingStatus": "queued"}
FILTERS = Filters(media_type="voice", queue_ids=(QUEUE,))
PLACEHOLDERS = {
    ID: "{id}",
    QUEUE: "{queue}",
    "2026-02-28T00:00:00.000Z": "…",
    "2026-03-01T00:00:00.000Z": "…",
    "2026-03-08T00:00:00.000Z": "…",
    "2026-03-02T00:00:00.000Z": "…",
    "2026-03-01T00:00:00Z": "…",
    "2026-03-02T00:00:00Z": "…",
}


def calls(dialect, text):
    """Each call of a text by its name, as the dialect makes it."""
    of = dialect.attributes
    chat = sentiment_metrics(Wanted(ID, AT)) if dialect.name == "reference" else is_analysed(ID)
    verbs = {
        "r0": {"data action": dialect.execute_data_action("a", NUMBER)},
        "r1": {"details by id": dialect.details.details([Wanted(ID, AT)])},
        "r2": {
            "flow inputs": of.flow_inputs(ID),
            "attributes": of.set_attributes(ID, ID, VALUES if of.typed else AS_TEXT),
        },
        "r3": {"sentiment": chat, "mark": of.set_conversation_attributes(ID, ID, MARK)},
        "r4": {"report": dialect.pages(100).page(FILTERS, DAY, 1, None)},
    }
    return {"token": dialect.token("…", "…"), **verbs[text]}


def rows():
    """Text, call, what it sends, what the platform is sent, and the scope it takes."""
    for text, profile in PROFILES.items():
        ours, platform = calls(Reference(text), text), calls(Platform(), text)
        for name, call in ours.items():
            host = profile.host if name == "token" else "api"
            there = "login" if name == "token" else "api"
            yield (
                text,
                name,
                shown(call.request, host),
                shown(platform[name].request, there),
                "" if name == "token" else f"`{scope_of(call)}`",
            )


def scope_of(call):
    """What a 403 without a name is said to lack."""
    body = b'{"error": "insufficient_scope"}'
    try:
        call.read(Reply(status=403, body=body, received_at=AT))
    except Misconfigured as problem:
        return problem.remedy.rpartition(" ")[2]
    return ""


def shown(request, host):
    """The request in one line of Markdown."""
    parts = [f"`{request.method} {{{host}}}{request.path}`"]
    if "Authorization" in request.headers:
        parts.append("Basic")
    if request.form is not None:
        parts.append("form `" + "&".join(f"{n}={v}" for n, v in request.form.items()) + "`")
    if request.json is not None:
        parts.append(f"`{json.dumps(request.json, ensure_ascii=False)}`")
    line = ", ".join(parts)
    for value, name in PLACEHOLDERS.items():
        line = line.replace(value, name)
    return line


def texts_table():
    head = ["| text | call | by the text | on the platform | scope |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows())])
