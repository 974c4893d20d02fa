"""Files in S3, and links to them that are as narrow as they can be."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support.s3 import a_bucket
from worker.errors import Misconfigured, Unauthorized
from worker.jobs.reports.files import File

CSV = File("report.csv", "text/csv; charset=utf-8", b"a,b\r\n1,2\r\n")
FOLDER = "reports/daily/20260301T000000Z/"
KEY = FOLDER + CSV.name
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def now():
    """Signing needs the real time; tests of expiry do not."""
    return datetime.now(UTC)


@pytest.fixture(autouse=True)
def _endpoint(moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)


def query_of(link):
    return {name: values[0] for name, values in parse_qs(urlsplit(link.url).query).items()}


def role_until(end):
    """Credentials of a role, as botocore holds them."""

    async def frozen():
        return SimpleNamespace(access_key="k", secret_key="s", token="t")

    return SimpleNamespace(get_frozen_credentials=frozen, _expiry_time=end)


async def link_of_role(end):
    async with a_bucket(lambda: NOW) as bucket:
        sdk = await bucket._s3.opened()
        sdk._request_signer._credentials = role_until(end)
        return await bucket.link(KEY)


async def test_a_file_is_stored_with_its_type_and_as_an_attachment():
    async with a_bucket(now) as bucket:
        assert await bucket.put(FOLDER, CSV) == KEY

        head = await bucket._s3.client.head_object(Bucket=bucket.name, Key=KEY)

    assert head["ContentType"] == CSV.content_type
    assert head["ContentDisposition"] == 'attachment; filename="report.csv"'


async def test_a_second_file_replaces_the_first_under_its_key():
    async with a_bucket(now) as bucket:
        await bucket.put(FOLDER, CSV)
        await bucket.put(FOLDER, File(CSV.name, CSV.content_type, b"new"))

        assert await bucket.get(KEY) == b"new"


async def test_a_key_with_nothing_under_it_is_none():
    async with a_bucket(now) as bucket:
        assert await bucket.get(KEY) is None


async def test_a_link_downloads_the_file():
    async with a_bucket(now) as bucket:
        await bucket.put(FOLDER, CSV)
        link = await bucket.link(KEY)

    async with httpx.AsyncClient() as browser:
        reply = await browser.get(link.url)

    assert (reply.status_code, reply.content) == (200, CSV.body)
    assert reply.headers["content-disposition"] == 'attachment; filename="report.csv"'


async def test_a_link_is_a_signature_v4_for_one_get_of_one_key():
    async with a_bucket(now, url_seconds=3600) as bucket:
        link = await bucket.link(KEY)

    query = query_of(link)
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Expires"] == "3600"
    assert query["response-content-disposition"] == 'attachment; filename="report.csv"'
    assert urlsplit(link.url).path.endswith(KEY)


async def test_a_link_lives_as_long_as_was_asked_when_its_keys_have_no_end():
    async with a_bucket(lambda: NOW, url_seconds=3600) as bucket:
        link = await bucket.link(KEY)

    assert link.expires_at == NOW + timedelta(hours=1)
    assert not link.cut_by_credentials


async def test_a_link_never_outlives_the_credentials_that_sign_it():
    link = await link_of_role(NOW + timedelta(hours=2))

    assert query_of(link)["X-Amz-Expires"] == "7200"
    assert link.expires_at == NOW + timedelta(hours=2)
    assert link.cut_by_credentials


async def test_credentials_that_outlive_the_link_cut_nothing():
    link = await link_of_role(NOW + timedelta(days=3))

    assert query_of(link)["X-Amz-Expires"] == "86400"
    assert not link.cut_by_credentials


async def test_credentials_at_their_end_sign_nothing():
    with pytest.raises(Unauthorized):
        await link_of_role(NOW)


async def test_a_link_is_in_no_repr_and_no_log():
    async with a_bucket(now) as bucket:
        with capture_logs() as logs:
            link = await bucket.link(KEY)

    assert "Signature" not in repr(link)
    assert "Signature" not in repr(logs)


async def test_a_bucket_that_is_not_there_is_a_setting_to_fix_and_dead_letters_nothing():
    async with a_bucket(now, create=False) as bucket:
        with pytest.raises(Misconfigured) as caught:
            await bucket.put(FOLDER, CSV)

    assert caught.value.setting == "REPORT_BUCKET"
