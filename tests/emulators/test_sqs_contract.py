"""One suite, two servers: what moto does, and is faithful in, the emulator must do."""

import asyncio
import json
from time import monotonic

import pytest
from botocore.exceptions import ClientError


async def receive(client, url, **over):
    wanted = {
        "MaxNumberOfMessages": 10,
        "WaitTimeSeconds": 0,
        "MessageSystemAttributeNames": ["All"],
        "MessageAttributeNames": ["All"],
    }
    reply = await client.receive_message(QueueUrl=url, **(wanted | over))
    return reply.get("Messages", [])


async def attributes_of(client, url, *names):
    reply = await client.get_queue_attributes(QueueUrl=url, AttributeNames=list(names) or ["All"])
    return reply["Attributes"]


def bodies(messages):
    return [message["Body"] for message in messages]


async def refused(call):
    with pytest.raises(ClientError) as raised:
        await call
    return raised.value.response["Error"]["Code"]


# ── queues ─────────────────────────────────────────────────────────────────────────────────────
async def test_queue_is_found_by_name_once_it_is_created(any_client, a_queue):
    url = await a_queue()

    found = await any_client.get_queue_url(QueueName=url.rpartition("/")[2])

    assert found["QueueUrl"] == url


async def test_queue_url_belongs_to_the_endpoint(any_client, a_queue):
    assert (await a_queue()).startswith(any_client.meta.endpoint_url)


async def test_unknown_queue_is_refused_by_class_and_by_query_code(any_client):
    with pytest.raises(any_client.exceptions.QueueDoesNotExist) as raised:
        await any_client.get_queue_url(QueueName="nowhere")

    assert raised.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


async def test_send_to_an_unknown_queue_is_refused(any_client, a_queue):
    url = await a_queue() + "-gone"

    with pytest.raises(any_client.exceptions.QueueDoesNotExist):
        await any_client.send_message(QueueUrl=url, MessageBody="hello")


async def test_queue_with_other_attributes_is_refused_when_the_name_is_taken(any_client, a_queue):
    url = await a_queue(VisibilityTimeout="30")

    again = any_client.create_queue(
        QueueName=url.rpartition("/")[2], Attributes={"VisibilityTimeout": "31"}
    )

    assert await refused(again) == "QueueAlreadyExists"


async def test_attributes_carry_arn_timeout_and_depth(any_client, a_queue):
    url = await a_queue(VisibilityTimeout="77")
    await any_client.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=60)
    for body in ("one", "two", "three"):
        await any_client.send_message(QueueUrl=url, MessageBody=body)
    await receive(any_client, url, MaxNumberOfMessages=1)

    attributes = await attributes_of(any_client, url)

    assert attributes["VisibilityTimeout"] == "77"
    assert attributes["QueueArn"].endswith(f":{url.rpartition('/')[2]}")
    assert attributes["MessageRetentionPeriod"] == "345600"
    assert float(attributes["CreatedTimestamp"]) > 1_700_000_000
    assert attributes["ApproximateNumberOfMessages"] == "2"
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert attributes["ApproximateNumberOfMessagesDelayed"] == "1"


async def test_only_the_attributes_asked_for_come_back(any_client, a_queue):
    attributes = await attributes_of(any_client, await a_queue(), "QueueArn")

    assert attributes.keys() == {"QueueArn"}


async def test_unknown_attribute_name_is_refused(any_client, a_queue):
    call = any_client.get_queue_attributes(QueueUrl=await a_queue(), AttributeNames=["Colour"])

    assert await refused(call) == "InvalidAttributeName"


async def test_changed_visibility_timeout_is_read_back(any_client, a_queue):
    url = await a_queue()

    await any_client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "5"})

    assert (await attributes_of(any_client, url))["VisibilityTimeout"] == "5"


async def test_queue_is_listed_by_prefix_until_it_is_deleted(any_client, a_queue):
    url = await a_queue()
    prefix = url.rpartition("/")[2]

    before = await any_client.list_queues(QueueNamePrefix=prefix)
    await any_client.delete_queue(QueueUrl=url)
    after = await any_client.list_queues(QueueNamePrefix=prefix)

    assert before["QueueUrls"] == [url]
    assert not after.get("QueueUrls")


async def test_purged_queue_is_empty(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")

    await any_client.purge_queue(QueueUrl=url)

    assert await receive(any_client, url) == []


# ── send and receive ───────────────────────────────────────────────────────────────────────────
async def test_empty_receive_has_no_messages_key(any_client, a_queue):
    reply = await any_client.receive_message(QueueUrl=await a_queue())

    assert "Messages" not in reply


async def test_body_comes_back_with_its_digest(any_client, a_queue):
    url = await a_queue()

    sent = await any_client.send_message(QueueUrl=url, MessageBody="Grüße 📞")
    [message] = await receive(any_client, url)

    assert message["Body"] == "Grüße 📞"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == "6bae666b485266f294133a018ba1e831"


async def test_message_attributes_come_back_with_their_digest(any_client, a_queue):
    url = await a_queue()
    attributes = {
        "kind": {"DataType": "String", "StringValue": "voice"},
        "score": {"DataType": "Number", "StringValue": "-0.25"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "tag": {"DataType": "String.custom", "StringValue": "ü"},
    }

    sent = await any_client.send_message(
        QueueUrl=url, MessageBody="hello", MessageAttributes=attributes
    )
    [message] = await receive(any_client, url)

    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert sent["MD5OfMessageAttributes"] == "8b676ccda5d8412dae60cf8ecd7ca64f"


async def test_attributes_are_absent_when_not_asked_for(any_client, a_queue):
    url = await a_queue()
    attributes = {"kind": {"DataType": "String", "StringValue": "voice"}}
    await any_client.send_message(QueueUrl=url, MessageBody="b", MessageAttributes=attributes)

    reply = await any_client.receive_message(QueueUrl=url)

    assert not reply["Messages"][0].get("MessageAttributes")
    assert not reply["Messages"][0].get("Attributes")


async def test_attributes_are_chosen_by_prefix(any_client, a_queue):
    url = await a_queue()
    one = {"DataType": "String", "StringValue": "1"}
    attributes = {"worker.failure": one, "worker.host": one, "other": one}
    await any_client.send_message(QueueUrl=url, MessageBody="b", MessageAttributes=attributes)

    [message] = await receive(any_client, url, MessageAttributeNames=["worker.*"])

    assert message["MessageAttributes"].keys() == {"worker.failure", "worker.host"}


async def test_receive_count_and_timestamps_come_along(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")

    [first] = await receive(any_client, url, VisibilityTimeout=0)
    [second] = await receive(any_client, url)

    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp"):
        assert first["Attributes"][name] == second["Attributes"][name]
        assert len(first["Attributes"][name]) == len("1763700000000")


async def test_every_receive_gives_a_new_handle(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")

    [first] = await receive(any_client, url, VisibilityTimeout=0)
    [second] = await receive(any_client, url)

    assert first["ReceiptHandle"] != second["ReceiptHandle"]


async def test_received_message_is_hidden_from_the_next_receive(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")

    assert len(await receive(any_client, url)) == 1
    assert await receive(any_client, url) == []


async def test_trace_header_comes_back_as_system_attribute(any_client, a_queue):
    url = await a_queue()
    header = "Root=1-5759e988-bd862e3fe1be46a994272793"
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": header}}
    await any_client.send_message(QueueUrl=url, MessageBody="hello", MessageSystemAttributes=system)

    [message] = await receive(any_client, url)

    assert message["Attributes"]["AWSTraceHeader"] == header


async def test_group_id_is_welcome_on_a_standard_queue(any_client, a_queue):
    url = await a_queue()
    for body in ("one", "two"):
        await any_client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="tenant")

    received = [await receive(any_client, url, MaxNumberOfMessages=1) for _ in range(2)]

    assert sorted(bodies([*received[0], *received[1]])) == ["one", "two"]
    assert received[0][0]["Attributes"]["MessageGroupId"] == "tenant"


@pytest.mark.parametrize(
    "over",
    [
        {"MaxNumberOfMessages": 11},
        {"MaxNumberOfMessages": 0},
        {"WaitTimeSeconds": 21},
        {"WaitTimeSeconds": -1},
    ],
    ids=str,
)
async def test_receive_is_refused_when_out_of_bounds(any_client, a_queue, over):
    call = any_client.receive_message(QueueUrl=await a_queue(), **over)

    assert await refused(call) == "InvalidParameterValue"


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiobotocore's way
async def test_message_of_more_than_one_mebibyte_is_refused(any_client, a_queue):
    call = any_client.send_message(QueueUrl=await a_queue(), MessageBody="x" * 1_048_577)

    assert await refused(call) == "InvalidParameterValue"


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiobotocore's way
async def test_message_of_exactly_one_mebibyte_is_kept(any_client, a_queue):
    url = await a_queue()

    await any_client.send_message(QueueUrl=url, MessageBody="x" * 1_048_576)

    assert len((await receive(any_client, url))[0]["Body"]) == 1_048_576


# ── long polls ─────────────────────────────────────────────────────────────────────────────────
async def test_long_poll_ends_with_what_is_sent_meanwhile(any_client, a_queue):
    url = await a_queue()
    poll = asyncio.create_task(receive(any_client, url, WaitTimeSeconds=10))
    await asyncio.sleep(0.2)

    await any_client.send_message(QueueUrl=url, MessageBody="hello")

    assert bodies(await asyncio.wait_for(poll, timeout=5)) == ["hello"]


async def test_long_poll_ends_when_a_lease_is_over(any_client, a_queue):
    url = await a_queue(VisibilityTimeout="1")
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    await receive(any_client, url)

    again = await asyncio.wait_for(receive(any_client, url, WaitTimeSeconds=10), timeout=5)

    assert bodies(again) == ["hello"]


async def test_long_poll_ends_when_a_delay_is_over(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello", DelaySeconds=1)

    late = await asyncio.wait_for(receive(any_client, url, WaitTimeSeconds=10), timeout=5)

    assert bodies(late) == ["hello"]


async def test_long_poll_ends_empty_when_its_time_is_over(any_client, a_queue):
    url = await a_queue()
    started = monotonic()

    assert await receive(any_client, url, WaitTimeSeconds=1) == []
    assert monotonic() - started >= 1


# ── leases ─────────────────────────────────────────────────────────────────────────────────────
async def test_deleted_message_does_not_come_back(any_client, a_queue):
    url = await a_queue(VisibilityTimeout="1")
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    [message] = await receive(any_client, url)

    await any_client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    assert await receive(any_client, url, WaitTimeSeconds=2) == []


async def test_second_delete_is_accepted(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    [message] = await receive(any_client, url)

    for _ in range(2):
        await any_client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    assert (await attributes_of(any_client, url))["ApproximateNumberOfMessagesNotVisible"] == "0"


async def test_delete_with_a_made_up_handle_is_refused(any_client, a_queue):
    call = any_client.delete_message(QueueUrl=await a_queue(), ReceiptHandle="made-up")

    assert await refused(call) == "ReceiptHandleIsInvalid"


async def test_visibility_of_zero_releases_the_message(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    [message] = await receive(any_client, url)

    await any_client.change_message_visibility(
        QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
    )

    assert bodies(await receive(any_client, url, WaitTimeSeconds=1)) == ["hello"]


async def test_extended_lease_outlasts_the_visibility_timeout(any_client, a_queue):
    url = await a_queue(VisibilityTimeout="1")
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    [message] = await receive(any_client, url)

    await any_client.change_message_visibility(
        QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=30
    )

    assert await receive(any_client, url, WaitTimeSeconds=2) == []


async def test_lease_of_more_than_twelve_hours_is_refused(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    [message] = await receive(any_client, url)

    call = any_client.change_message_visibility(
        QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=43_201
    )

    assert await refused(call) == "InvalidParameterValue"


async def test_visibility_with_a_made_up_handle_is_refused(any_client, a_queue):
    call = any_client.change_message_visibility(
        QueueUrl=await a_queue(), ReceiptHandle="made-up", VisibilityTimeout=5
    )

    assert await refused(call) == "ReceiptHandleIsInvalid"


# ── batches ────────────────────────────────────────────────────────────────────────────────────
def entries(count, **fields):
    return [{"Id": str(number), **fields} for number in range(count)]


async def test_batch_of_ten_goes_there_and_away(any_client, a_queue):
    url = await a_queue()

    sent = await any_client.send_message_batch(
        QueueUrl=url, Entries=entries(10, MessageBody="hello")
    )
    received = await receive(any_client, url)
    deleted = await any_client.delete_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
            for number, message in enumerate(received)
        ],
    )

    assert len(sent["Successful"]) == len(received) == len(deleted["Successful"]) == 10
    assert not sent.get("Failed")
    assert not deleted.get("Failed")


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiobotocore's way
@pytest.mark.parametrize(
    ("batch", "code"),
    [
        (entries(11, MessageBody="b"), "TooManyEntriesInBatchRequest"),
        ([], "EmptyBatchRequest"),
        (entries(1, MessageBody="b") * 2, "BatchEntryIdsNotDistinct"),
        ([{"Id": "not valid!", "MessageBody": "b"}], "InvalidBatchEntryId"),
        (entries(2, MessageBody="x" * 600_000), "BatchRequestTooLong"),
    ],
    ids=["eleven", "empty", "doubled", "malformed", "too-long"],
)
async def test_batch_against_the_rules_is_refused_as_a_whole(any_client, a_queue, batch, code):
    url = await a_queue()

    refusal = await refused(any_client.send_message_batch(QueueUrl=url, Entries=batch))

    assert refusal.rpartition(".")[2] == code
    assert await receive(any_client, url) == []


async def test_bad_entry_of_a_delete_batch_fails_alone(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    [message] = await receive(any_client, url)

    reply = await any_client.delete_message_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "good", "ReceiptHandle": message["ReceiptHandle"]},
            {"Id": "bad", "ReceiptHandle": "made-up"},
        ],
    )

    assert [entry["Id"] for entry in reply["Successful"]] == ["good"]
    [failed] = reply["Failed"]
    assert (failed["Id"], failed["SenderFault"]) == ("bad", True)
    assert failed["Code"] == "ReceiptHandleIsInvalid"


async def test_bad_entry_of_a_visibility_batch_fails_alone(any_client, a_queue):
    url = await a_queue()
    await any_client.send_message(QueueUrl=url, MessageBody="hello")
    [message] = await receive(any_client, url)

    reply = await any_client.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "good", "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0},
            {"Id": "bad", "ReceiptHandle": "made-up", "VisibilityTimeout": 0},
        ],
    )

    assert [entry["Id"] for entry in reply["Successful"]] == ["good"]
    assert [entry["Code"] for entry in reply["Failed"]] == ["ReceiptHandleIsInvalid"]


# ── dead letters ───────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def a_pair(any_client, a_queue):
    """Make a queue and its dead-letter queue."""

    async def create(max_receive_count, **over):
        dead_letters = await a_queue(**over)
        arn = (await attributes_of(any_client, dead_letters))["QueueArn"]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": max_receive_count}
        return await a_queue(RedrivePolicy=json.dumps(policy), **over), dead_letters

    return create


async def test_message_moves_to_the_dead_letters_instead_of_one_receive_too_many(
    any_client, a_pair
):
    url, dead_letters = await a_pair(2)
    sent = await any_client.send_message(QueueUrl=url, MessageBody="poison")

    given_out = [await receive(any_client, url, VisibilityTimeout=0) for _ in range(3)]
    [dead] = await receive(any_client, dead_letters)

    assert list(map(len, given_out)) == [1, 1, 0]
    assert (dead["MessageId"], dead["Body"]) == (sent["MessageId"], "poison")
    assert dead["Attributes"]["SentTimestamp"] == given_out[0][0]["Attributes"]["SentTimestamp"]


async def test_dead_letter_queue_knows_its_sources(any_client, a_pair):
    url, dead_letters = await a_pair(2)

    reply = await any_client.list_dead_letter_source_queues(QueueUrl=dead_letters)

    assert reply["queueUrls"] == [url]


async def test_redrive_policy_is_read_back(any_client, a_pair):
    url, dead_letters = await a_pair(7)

    policy = json.loads((await attributes_of(any_client, url))["RedrivePolicy"])

    assert int(policy["maxReceiveCount"]) == 7
    assert policy["deadLetterTargetArn"].endswith(dead_letters.rpartition("/")[2])


# ── FIFO ───────────────────────────────────────────────────────────────────────────────────────
async def send_each(client, url, group_id, *contents):
    for body in contents:
        await client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group_id)


async def test_group_comes_in_order_and_together(any_client, a_queue):
    url = await a_queue(fifo=True, ContentBasedDeduplication="true")
    await send_each(any_client, url, "a", "1", "2", "3")

    assert bodies(await receive(any_client, url)) == ["1", "2", "3"]


async def test_group_is_blocked_while_one_of_it_is_in_flight(any_client, a_queue):
    url = await a_queue(fifo=True, ContentBasedDeduplication="true")
    await send_each(any_client, url, "a", "a1", "a2")
    [head] = await receive(any_client, url, MaxNumberOfMessages=1)
    await send_each(any_client, url, "b", "b1")

    others = await receive(any_client, url)
    await any_client.delete_message(QueueUrl=url, ReceiptHandle=head["ReceiptHandle"])
    next_messages = await receive(any_client, url)

    assert (bodies([head]), bodies(others), bodies(next_messages)) == (["a1"], ["b1"], ["a2"])


async def test_same_content_is_kept_once_when_the_queue_deduplicates(any_client, a_queue):
    url = await a_queue(fifo=True, ContentBasedDeduplication="true")
    await send_each(any_client, url, "a", "same", "same")

    assert bodies(await receive(any_client, url)) == ["same"]


async def test_same_deduplication_id_is_kept_once(any_client, a_queue):
    url = await a_queue(fifo=True)
    for body in ("first", "second"):
        await any_client.send_message(
            QueueUrl=url, MessageBody=body, MessageGroupId="a", MessageDeduplicationId="x"
        )

    [message] = await receive(any_client, url)

    assert message["Body"] == "first"
    assert message["Attributes"]["MessageDeduplicationId"] == "x"


async def test_fifo_send_is_refused_without_a_group(any_client, a_queue):
    url = await a_queue(fifo=True, ContentBasedDeduplication="true")

    refusal = await refused(any_client.send_message(QueueUrl=url, MessageBody="hello"))

    assert refusal == "MissingParameter"


async def test_fifo_send_is_refused_when_it_cannot_be_deduplicated(any_client, a_queue):
    url = await a_queue(fifo=True)

    call = any_client.send_message(QueueUrl=url, MessageBody="hello", MessageGroupId="a")

    assert await refused(call) == "InvalidParameterValue"
