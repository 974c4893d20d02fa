"""An S3 to test with that reads checksums, which moto takes unread."""

from base64 import b64decode
from contextlib import asynccontextmanager
from hashlib import md5
from zlib import crc32

from aiohttp import web

from worker.emulators.loopback import serving


@asynccontextmanager
async def an_s3():
    s3 = S3()
    app = web.Application()
    app.router.add_route("PUT", "/{bucket}/{key:.+}", s3.put)
    async with serving(app) as s3.url:
        yield s3


SUMS = {
    "Content-MD5": lambda body: md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: crc32(body).to_bytes(4, "big"),
}


class S3:
    """Stores what agrees with the checksums it reads; `code`: refuses everything with it."""

    def __init__(self):
        self.stored, self.asked, self.url = {}, [], ""
        self.reads = set(SUMS)
        self.status, self.code = 200, None

    async def put(self, request):
        body, key = await request.read(), request.match_info["key"]
        self.asked.append((request.match_info["bucket"], key))
        if self.code is not None:
            return self.refusal(self.status, self.code)
        if not self.agrees(request.headers, body):
            return self.refusal(400, "BadDigest")
        self.stored[key] = body
        return web.Response()

    def refusal(self, status, code):
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    def agrees(self, headers, body):
        given = {name: headers[name] for name in self.reads if name in headers}
        return all(b64decode(text) == SUMS[name](body) for name, text in given.items())
