"""The console's web server: what each address answers, and the streams that keep pages live."""

import asyncio
import math
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from secrets import token_urlsafe
from typing import Any, Literal

import structlog
from aiohttp import web

from worker.cli.console import dead_letters, pages
from worker.cli.console.guard import LOOPBACK, Guard, add_headers, host_of
from worker.cli.console.runs import Busy, DeadLetters, Run, open_dead_letters
from worker.cli.dlq.reader import DeadLetter
from worker.cli.dlq.redrive import Filter
from worker.cli.trace import ID, in_order, searched
from worker.errors import ConfigurationError
from worker.ops.page import Markup
from worker.ops.replicas import Overview, ask_all, overview_of
from worker.telemetry import audit_logger

FRESH_SECONDS = 2.0
"""Age of an overview from which the replicas are asked again, however many pages show it."""

FIRST_SECONDS = 15.0
"""Age of an overview that a page may begin with: a replica that hangs takes seconds to ask."""

PROGRESS_SECONDS = 0.5
DRY_RATE = 1.0
"""Of an order that is not carried out: its rate is asked for before it is."""

TRACE_SECONDS = 60.0
BUSY = "Another run is not over, or a trace reads the dead letters: wait for it or stop it."
MAX_FORM_BYTES = 64 * 1024

ERRORS: Mapping[int, type[web.HTTPError]] = {
    400: web.HTTPBadRequest,
    403: web.HTTPForbidden,
    404: web.HTTPNotFound,
    409: web.HTTPConflict,
    504: web.HTTPGatewayTimeout,
}

log = structlog.get_logger(__name__)

Draw = Callable[[], Awaitable[str]]


class Fleet:
    """All replicas of a worker, asked for all pages together."""

    def __init__(self, places: Sequence[tuple[str, int]]) -> None:
        """`places`: hosts and ports; a name stands for all its addresses."""
        self._places = places
        self._lock = asyncio.Lock()
        self._overview: Overview | None = None
        self._asked = -math.inf

    async def overview(self, max_age: float = FRESH_SECONDS) -> Overview:
        """Return what they are together, so many seconds old at most."""
        if (known := self._known(max_age)) is not None:
            return known
        async with self._lock:
            if (known := self._known(max_age)) is None:
                known = self._overview = overview_of(await ask_all(self._places))
                self._asked = time.monotonic()
            return known

    def _known(self, max_age: float) -> Overview | None:
        return self._overview if time.monotonic() - self._asked <= max_age else None


class Console:
    """What each address answers."""

    def __init__(
        self,
        fleet: Fleet,
        work: DeadLetters | None,
        missing: Sequence[str],
        frame: pages.Frame,
    ) -> None:
        """`missing`: the settings that the dead letters need, when `work` is None."""
        self._fleet = fleet
        self._work = work
        self._missing = missing
        self._frame = frame

    def routes(self) -> list[web.RouteDef]:
        """Return all addresses."""
        return [
            web.get("/console.css", _file(pages.STYLE, "text/css")),
            web.get("/console.js", _file(pages.SCRIPT, "text/javascript")),
            *self._fleet_routes("/", "Overview", pages.overview),
            *self._fleet_routes("/jobs", "Jobs", pages.jobs),
            *self._fleet_routes("/upstreams", "Upstreams", pages.upstreams),
            web.get("/trace", self.trace),
            web.post("/trace", self.trace),
            web.get("/dead-letters", self.causes),
            web.get("/dead-letters/cause", self.cause),
            web.get("/dead-letters/message", self.message),
            web.post("/dead-letters/message/body", self.message_with_body),
            web.post("/dead-letters/read", self.read),
            web.post("/dead-letters/dry-run", self.dry_run),
            web.get(r"/runs/{number:\d{1,9}}", self.run),
            web.get(r"/live/runs/{number:\d{1,9}}", self.live_run, allow_head=False),
            web.post(r"/runs/{number:\d{1,9}}/apply", self.apply),
            web.post(r"/runs/{number:\d{1,9}}/stop", self.stop),
            web.get("/{_:.*}", self.no_page),
        ]

    def _fleet_routes(
        self, path: str, title: str, drawn: Callable[[Overview], Markup]
    ) -> list[web.RouteDef]:
        """Return a page about the workers, and the stream that keeps it live."""
        live_path = f"/live{path}"

        async def draw() -> str:
            return drawn(await self._fleet.overview())

        async def whole(_: web.Request) -> web.Response:
            content = pages.live(live_path, drawn(await self._fleet.overview(FIRST_SECONDS)))
            return _html(self._frame.page(title, path, content, live=True))

        async def stream(request: web.Request) -> web.StreamResponse:
            return await _stream(request, draw, FRESH_SECONDS)

        return [web.get(path, whole), web.get(live_path, stream, allow_head=False)]

    async def no_page(self, _: web.Request) -> web.Response:
        """Refuse any other address, with a page that leads on."""
        raise self._refused(404, "This page does not exist.")

    async def causes(self, _: web.Request) -> web.Response:
        """Show what was read by cause."""
        if self._work is None:
            content = pages.missing(self._missing)
        else:
            content = dead_letters.causes(self._work, self._frame)
        return _html(self._frame.page("Dead letters", dead_letters.PATH, content))

    async def cause(self, request: web.Request) -> web.Response:
        """Show the dead letters of a cause."""
        fingerprint = request.query.get("fingerprint", "")
        first = request.query.get("first", "0")
        start = int(first) if first.isascii() and first.isdigit() and len(first) < 9 else 0
        content = dead_letters.cause(fingerprint, self._needed(), self._frame, start)
        return _html(self._frame.page("Cause", dead_letters.PATH, content))

    async def message(self, request: web.Request) -> web.Response:
        """Show one message without its body."""
        return self._message(self._found(request.query.get("id", "")), with_body=False)

    async def message_with_body(self, request: web.Request) -> web.Response:
        """Show one message with its body, and write to the log that it was shown."""
        dead_letter = self._found(_text(await request.post(), "id"))
        audit_logger().info(
            "dead_letter_body_shown", message_id=dead_letter.message.id, by=request.remote
        )
        return self._message(dead_letter, with_body=True)

    def _message(self, dead_letter: DeadLetter, *, with_body: bool) -> web.Response:
        content = dead_letters.message(
            dead_letter, self._needed(), self._frame, with_body=with_body
        )
        return _html(
            self._frame.page(f"Message {dead_letter.message.id}", dead_letters.PATH, content)
        )

    def _found(self, message_id: str) -> DeadLetter:
        reading = self._needed().reading
        found = [one for one in reading.found if one.message.id == message_id] if reading else []
        if not found:
            raise self._refused(404, "No dead letter that was read has this id: read them.")
        return found[0]

    async def read(self, request: web.Request) -> web.Response:
        """Begin to read the dead-letter queues."""
        limit = self._number(await request.post(), "limit", 1, dead_letters.MOST_READ)
        return self._begun(lambda work: work.read(int(limit), request.remote or ""))

    async def dry_run(self, request: web.Request) -> web.Response:
        """Begin to count what would be redriven or deleted."""
        self._may_change()
        form = await request.post()
        action = _text(form, "action")
        only = Filter(
            fingerprint=_text(form, "fingerprint") or None, message=_text(form, "message") or None
        )
        if only.is_empty or action not in {"redrive", "delete"}:
            raise self._refused(400, "It is not said what to do with which messages.")
        chosen: Literal["redrive", "delete"] = "redrive" if action == "redrive" else "delete"
        by = request.remote or ""
        return self._begun(lambda work: work.dry_run(chosen, only, DRY_RATE, by))

    async def apply(self, request: web.Request) -> web.Response:
        """Begin to do what a dry run has shown."""
        self._may_change()
        form, dry_run = await request.post(), self._run(request)
        rate = self._number(form, "rate", dead_letters.LEAST_RATE, dead_letters.MOST_RATE)
        if dry_run.order and dry_run.order.action == "delete" and _text(form, "sure") != "yes":
            raise self._refused(400, "Deleting was not confirmed.")
        return self._begun(lambda work: work.apply(dry_run, rate, request.remote or ""))

    async def stop(self, request: web.Request) -> web.Response:
        """Let a run end after the batch in flight."""
        run = self._run(request)
        self._needed().stop(run, request.remote or "")
        raise web.HTTPSeeOther(f"/runs/{run.number}")

    async def run(self, request: web.Request) -> web.Response:
        """Show how far a run is, or what came of it."""
        run = self._run(request)
        if run.order is None and run.state == "ended":
            raise web.HTTPSeeOther(dead_letters.PATH)
        title = f"Run {run.number}: {dead_letters.name_of_run(run)}"
        content = dead_letters.run(run, self._frame)
        return _html(self._frame.page(title, dead_letters.PATH, content, live=not run.is_over))

    async def live_run(self, request: web.Request) -> web.StreamResponse:
        """Send how far a run is until it is over."""
        run = self._run(request)

        async def draw() -> str:
            return dead_letters.progress(run)

        return await _stream(request, draw, PROGRESS_SECONDS, lambda: run.is_over)

    async def trace(self, request: web.Request) -> web.Response:
        """Show what every job did for a conversation; only a form's POST reads dead letters."""
        given = await request.post() if request.method == "POST" else request.query
        conversation = _text(given, "conversation").strip()
        at_most = dead_letters.READ_BY_DEFAULT if request.method == "POST" else 0
        if not conversation:
            content: list[str] = [pages.trace_form("")]
        elif ID.fullmatch(conversation) is None:
            content = [pages.trace_form(conversation, "Not a UUID.")]
        else:
            found = await self._traced(conversation, at_most)
            content = [pages.trace_form(conversation), *found]
        return _html(self._frame.page("Trace of a conversation", "/trace", *content))

    async def _traced(self, conversation: str, at_most: int) -> list[str]:
        alone = self._work.without_runs() if self._work and at_most else nullcontext()
        try:
            with alone:
                async with asyncio.timeout(TRACE_SECONDS):
                    places = await searched(conversation, at_most)
        except Busy:
            raise self._refused(409, BUSY) from None
        except ConfigurationError as error:
            return [pages.missing(error.problems)]
        except TimeoutError:
            raise self._refused(504, f"No answer in {TRACE_SECONDS:.0f} s.") from None
        found = pages.trace(in_order(places), places)
        return [found] if at_most else [found, dead_letters.search_form(conversation, self._frame)]

    def _begun(self, begin: Callable[[DeadLetters], Run]) -> web.Response:
        """Begin a run and lead to its page."""
        try:
            run = begin(self._needed())
        except Busy:
            raise self._refused(409, BUSY) from None
        except ValueError:
            raise self._refused(409, "Only a dry run with messages can be applied, once.") from None
        raise web.HTTPSeeOther(f"/runs/{run.number}")

    def _run(self, request: web.Request) -> Run:
        run = self._needed().find(int(request.match_info["number"]))
        if run is None:
            raise self._refused(404, "There is no run of this number.")
        return run

    def _needed(self) -> DeadLetters:
        if self._work is None:
            raise self._refused(409, "; ".join(self._missing))
        return self._work

    def _may_change(self) -> None:
        if not self._frame.changes:
            raise self._refused(403, "This console is read-only: start it with --allow-changes.")

    def _number(self, form: Any, name: str, least: float, most: float) -> float:
        try:
            value = float(_text(form, name))
        except ValueError:
            value = math.nan
        if not least <= value <= most:  # of nan, too
            raise self._refused(400, f"{name}: not a number from {least:g} to {most:g}.")
        return value

    def _refused(self, status: int, why: str) -> web.HTTPException:
        """Return a page that says why; to be raised."""
        text = self._frame.page("Not done", "", pages.alert(why))
        return ERRORS[status](text=text, content_type="text/html")


def _text(form: Any, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


def _file(text: str, content_type: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type=content_type)

    return answer


async def _stream(
    request: web.Request, draw: Draw, seconds: float, is_over: Callable[[], bool] = lambda: False
) -> web.StreamResponse:
    """Send a part of a page again and again, as server-sent events, until its reader goes."""
    # The second is for proxies of nginx, which else hold parts back until there are more.
    headers = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    while not is_over():
        lines = (await draw()).splitlines()
        await response.write("".join(f"data: {line}\n" for line in lines).encode() + b"\n")
        await asyncio.sleep(seconds)
    await response.write(b"event: end\ndata: over\n\n")
    return response


async def serve(
    places: Sequence[tuple[str, int]],
    address: tuple[str, int],
    hosts: Sequence[str],
    *,
    changes: bool,
) -> None:
    """Serve until SIGTERM or SIGINT; a run that is not over is stopped then.

    `places`: of the replicas. `hosts`: other names of the console. Raises OSError when it cannot
    listen on the address.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    frame = pages.Frame(token_urlsafe(32), changes)
    own = host_of(f"[{address[0]}]" if ":" in address[0] else address[0])
    guard = Guard([*hosts, own] if own else hosts, frame.token)
    work, missing = open_dead_letters()
    async with serving(Console(Fleet(places), work, missing, frame), guard, *address) as url:
        log.info("console_listening", url=url, changes_allowed=changes)
        if own not in LOOPBACK:
            log.warning("console_open_to_network", without="login")
        await stop.wait()
        if work is not None:
            await work.close()


@asynccontextmanager
async def serving(console: Console, guard: Guard, host: str, port: int) -> AsyncIterator[str]:
    """Serve within the block; give the address. Raises OSError when it cannot listen there."""
    app = web.Application(middlewares=[guard], client_max_size=MAX_FORM_BYTES)
    app.add_routes(console.routes())
    app.on_response_prepare.append(add_headers)
    # Streams end with their readers, or with the server: nothing is waited for.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        listening = runner.addresses[0][1]
        yield f"http://[{host}]:{listening}" if ":" in host else f"http://{host}:{listening}"
    finally:
        await runner.cleanup()
