"""Servers that know one reference text each, and refuse whatever it does not say.

Written from the texts, and from neither the client nor the emulator: what these three have in
common is what the texts say. Each answers 404 to another path, 405 to another method, and 400 to
another query, body, header or form.
"""

import json
from base64 import b64encode
from collections import Counter
from contextlib import asynccontextmanager
from datetime import datetime
from urllib.parse import parse_qsl

from aiohttp import web

from worker.emulators import serving

CLIENT, SECRET = "text-client", "text-secret"
BASIC = "Basic " + b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
TOKEN = "a-token-of-the-text"
BEARER = f"Bearer {TOKEN}"
ISSUED = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}
IN_BODY = {
    "grant_type": "client_credentials",
    "client_id": CLIENT,
    "client_secret": SECRET,
}
DETAILS = "/api/v2/analytics/conversations/details/query"

ACTION = "custom_-_0c0ffee0-0000-4000-8000-000000000001"
FLOW = "f1000000-0000-4000-8000-000000000001"
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"
QUEUE = "9e000000-0000-4000-8000-000000000001"
PHONE = "+15550100001"


class Refused(Exception):
    """The request is not the text's."""


class Double:
    """One server of one text; what it was asked, and what it refused."""

    def __init__(self, calls):
        self._calls = calls
        self.url = ""
        self.asked = Counter()
        self.refused = []
        self.bodies = []
        """JSON bodies of the calls that were answered, the token's aside."""

        self.scope_error = None
        """Body of the 403 that each call but the token's is answered with; None: none is."""

    async def answer(self, request):
        """Answer as the text has it."""
        place = f"{request.method} {request.path}"
        try:
            reply = await self._answer(request)
        except Refused as why:
            self.refused.append(f"{place}: {why}")
            return web.json_response({"error": "bad_request", "message": str(why)}, status=400)
        if reply.status in {404, 405}:
            self.refused.append(f"{place}: {reply.status}")
        else:
            self.asked[place] += 1
        return reply

    async def _answer(self, request):
        methods = {method for method, path in self._calls if path == request.path}
        if not methods:
            return web.Response(status=404)
        if request.method not in methods:
            return web.Response(status=405)
        sent = Sent(request, await request.read())
        call = self._calls[request.method, request.path]
        if call.is_token:
            return web.json_response(call(sent))
        sent.must(request.headers.get("Authorization") == BEARER, "the token is none of this text")
        answer = call(sent)
        if self.scope_error is not None:
            return web.json_response(self.scope_error, status=403)
        if sent.body:
            self.bodies.append(json.loads(sent.body))
        return web.Response(status=204) if answer is None else web.json_response(answer)


class Sent:
    """One request, to be held against a text."""

    def __init__(self, request, body):
        self.headers, self.body = request.headers, body
        self.query = parse_qsl(request.query_string, keep_blank_values=True)

    def must(self, holds, why):
        """Refuse unless it holds."""
        if not holds:
            raise Refused(why)

    def no_query(self):
        self.must(not self.query, f"query {self.query}")

    def no_credentials(self):
        self.must("Authorization" not in self.headers, "credentials in a header")

    def basic(self):
        self.must(self.headers.get("Authorization") == BASIC, "no Basic credentials")

    def nothing(self):
        self.must(self.body == b"", "a body")

    def form(self, wanted):
        kind = self.headers.get("Content-Type")
        self.must(kind == "application/x-www-form-urlencoded", f"content type {kind}")
        fields = parse_qsl(self.body.decode(), keep_blank_values=True)
        self.must(sorted(fields) == sorted(wanted.items()), f"form of {sorted(dict(fields))}")

    def json(self, *keys):
        """Return the JSON object, which has these keys and no others."""
        kind = self.headers.get("Content-Type")
        self.must(kind == "application/json", f"content type {kind}")
        value = json.loads(self.body)
        self.must(isinstance(value, dict), "no object")
        self.must(set(value) == set(keys), f"keys {sorted(value)}")
        return value

    def moments(self, first, last):
        """Hold that both are ISO 8601 with a zone, the first before the last."""
        read = [datetime.fromisoformat(text) for text in (first, last)]
        self.must(all(one.tzinfo for one in read) and read[0] < read[1], f"{first} to {last}")


def token(call):
    call.is_token = True
    return call


def call(of):
    of.is_token = False
    return of


@asynccontextmanager
async def serving_text(calls):
    """Serve the calls of a text: functions by method and path."""
    double = Double(calls)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", double.answer)
    async with serving(app) as double.url:
        yield double


def page_of(sent, pages, name, asked):
    """Return the page with that token, the first one without; it names the next one's."""
    number = {None: 0, **{f"page {n}": n for n in range(1, len(pages))}}.get(asked)
    sent.must(number is not None, f"no page {asked}")
    answer = {name: pages[number]}
    if number + 1 < len(pages):
        answer["nextPageToken"] = f"page {number + 1}"
    return answer


def r0(customers):
    """The voice text. `customers`: by phone number; of another one the CRM look-up fails."""

    @token
    def grant(sent):
        sent.no_query()
        sent.no_credentials()
        sent.form({**IN_BODY, "scope": "data:actions:execute"})
        return ISSUED

    @call
    def execute(sent):
        sent.no_query()
        parameters = sent.json("parameters")["parameters"]
        sent.must(set(parameters) == {"phone_number"}, f"parameters {sorted(parameters)}")
        found = customers.get(parameters["phone_number"])
        if found is None:
            return {"status": "ERROR", "result": "CRM lookup failed"}
        return {"status": "SUCCESS", "result": found}

    return {
        ("POST", "/api/v2/oauth/token"): grant,
        ("POST", f"/api/v2/data/actions/{ACTION}/execute"): execute,
    }


def r1(*pages):
    """The workflow text. `pages`: lists of entities, the first one's and the next ones'."""

    @token
    def grant(sent):
        sent.no_query()
        sent.no_credentials()
        given = sent.json(*IN_BODY)
        sent.must(given == IN_BODY, "other credentials")
        return ISSUED

    @call
    def query(sent):
        body = sent.json("dateFrom", "dateTo", "groupBy", "filter", "size")
        sent.moments(body["dateFrom"], body["dateTo"])
        sent.must(body["groupBy"] == ["conversationId"], f"groupBy {body['groupBy']}")
        wanted = [{"type": "conversationId", "value": CONVERSATION}]
        sent.must(body["filter"] == wanted, f"filter {body['filter']}")
        sent.must(body["size"] == 100, f"size {body['size']}")
        sent.must([name for name, _ in sent.query] in ([], ["pageToken"]), f"query {sent.query}")
        return page_of(sent, pages, "entities", dict(sent.query).get("pageToken"))

    return {("POST", "/oauth/token"): grant, ("POST", DETAILS): query}


def r2_login():
    """The attributes text: its login host, which is the platform's."""

    @token
    def grant(sent):
        sent.no_query()
        sent.basic()
        sent.form({"grant_type": "client_credentials"})
        return ISSUED

    return {("POST", "/oauth/token"): grant}


def r2(definitions, attributes):
    """The attributes text: its API. `attributes`: what alone may be written, types included."""

    @call
    def flow(sent):
        sent.no_query()
        sent.nothing()
        return {"id": FLOW, "name": "Customer attributes", "inputDefinitions": definitions}

    @call
    def patch(sent):
        sent.no_query()
        given = sent.json("attributes")["attributes"]
        # As text: 1, 1.0 and True are equal, and are three things on the wire.
        sent.must(
            json.dumps(given, sort_keys=True) == json.dumps(attributes, sort_keys=True),
            f"attributes {given}",
        )
        return {"id": CONVERSATION, "attributes": given}

    return {
        ("GET", f"/api/v2/flows/{FLOW}"): flow,
        ("PATCH", f"/api/v2/conversations/{CONVERSATION}"): patch,
    }


SENTIMENT = [
    "sentimentOverallScore",
    "sentimentPositive",
    "sentimentNeutral",
    "sentimentNegative",
]


def r3(*pages):
    """The chat text. `pages`: lists of entities, the first one's and the next ones'."""
    scopes = "conversation:view conversation:write analytics:conversations:view"

    @token
    def grant(sent):
        sent.basic()
        sent.nothing()
        asked = [("grant_type", "client_credentials"), ("scope", scopes)]
        sent.must(sorted(sent.query) == asked, f"query {sent.query}")
        return ISSUED

    @call
    def query(sent):
        sent.no_query()
        keys = {"dateFrom", "dateTo", "view", "metrics", "groupBy", "filter", "pageSize"}
        later = "nextPageToken" in json.loads(sent.body)
        body = sent.json(*keys, *(["nextPageToken"] if later else []))
        sent.moments(body["dateFrom"], body["dateTo"])
        wanted = {
            "view": "sentiment",
            "metrics": SENTIMENT,
            "groupBy": [],
            "filter": {
                "type": "and",
                "clauses": [
                    {"type": "conversationId", "in": [CONVERSATION]},
                    {"type": "medium", "in": ["chat"]},
                ],
            },
            "pageSize": 100,
        }
        for name, value in wanted.items():
            sent.must(body[name] == value, f"{name} {body[name]}")
        return page_of(sent, pages, "entities", body.get("nextPageToken"))

    @call
    def put(sent):
        sent.no_query()
        given = sent.json("attributes")["attributes"]
        names = {"sentimentForwardingId", "forwardingStatus", "updatedAt"}
        sent.must(set(given) == names, f"attributes {sorted(given)}")
        sent.must(given["forwardingStatus"] == "queued", "another status")

    return {
        ("POST", "/api/v2/oauth/token"): grant,
        ("POST", DETAILS): query,
        ("PUT", f"/api/v2/conversations/{CONVERSATION}/attributes"): put,
    }


def r4(start, end, *pages):
    """The report text. `pages`: lists of rows. `start`, `end`: of the day, the only one it has."""

    @token
    def grant(sent):
        sent.no_query()
        sent.no_credentials()
        sent.form({**IN_BODY, "scope": "analytics:read"})
        return ISSUED

    @call
    def query(sent):
        sent.no_query()
        later = "pageToken" in json.loads(sent.body)
        keys = ("query", "interval", "groupBy", "metrics", "filter")
        body = sent.json(*keys, *(["pageToken"] if later else []))
        wanted = {
            "query": {"type": "conversation", "timeRange": {"start": start, "end": end}},
            "interval": "PT1H",
            "groupBy": ["conversation.media.type", "routing.queue.id"],
            "metrics": [
                "conversation.duration.seconds",
                "agent.talk.seconds",
                "agent.hold.seconds",
                "wrapup.code",
            ],
            "filter": [
                {
                    "type": "simple",
                    "path": "conversation.media.type",
                    "value": "voice",
                    "operator": "eq",
                },
                {
                    "type": "simple",
                    "path": "routing.queue.id",
                    "value": [QUEUE],
                    "operator": "in",
                },
            ],
        }
        for name, value in wanted.items():
            sent.must(body[name] == value, f"{name} {body[name]}")
        return page_of(sent, pages, "results", body.get("pageToken"))

    return {("POST", "/oauth/token"): grant, ("POST", DETAILS): query}
