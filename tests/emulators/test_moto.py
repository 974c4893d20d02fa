"""What the demo's moto adds to moto."""

import asyncio
import threading
from contextlib import suppress

from aiobotocore.session import get_session
from moto.kinesis.models import Shard
from moto.stepfunctions.models import StateMachine

DEFINITION = '{"StartAt": "a", "States": {"a": {"Type": "Pass", "End": true}}}'


async def test_a_name_starts_one_execution_of_calls_at_the_same_time(moto, monkeypatch):
    look_up = StateMachine._handle_name_input_idempotency
    others = threading.Barrier(2)

    def looked_up_beside_another(self, name, execution_input):
        found = look_up(self, name, execution_input)
        with suppress(threading.BrokenBarrierError):
            others.wait(0.2)
        return found

    monkeypatch.setattr(StateMachine, "_handle_name_input_idempotency", looked_up_beside_another)
    async with get_session().create_client("stepfunctions", endpoint_url=moto) as client:
        role = "arn:aws:iam::123456789012:role/r"
        machine = await client.create_state_machine(
            name="starts", definition=DEFINITION, roleArn=role
        )
        arn = machine["stateMachineArn"]

        starts = [
            client.start_execution(stateMachineArn=arn, name=f"n{number}", input="{}")
            for number in range(2)
            for _ in range(4)
        ]
        answers = await asyncio.gather(*starts, return_exceptions=True)
        found = await client.list_executions(stateMachineArn=arn)

    refused = {type(answer).__name__ for answer in answers if isinstance(answer, Exception)}
    assert refused <= {"ExecutionAlreadyExists"}
    assert sorted(one["name"] for one in found["executions"]) == sorted(f"n{n}" for n in range(2))


async def test_no_record_of_a_stream_is_lost_among_others_at_the_same_time(moto, monkeypatch):
    last = Shard.get_max_sequence_number
    others = threading.Barrier(2)

    def last_beside_another(self):
        found = last(self)
        with suppress(threading.BrokenBarrierError):
            others.wait(0.2)
        return found

    monkeypatch.setattr(Shard, "get_max_sequence_number", last_beside_another)
    async with get_session().create_client("kinesis", endpoint_url=moto) as client:
        await client.create_stream(StreamName="s", ShardCount=1)
        puts = [
            client.put_record(StreamName="s", PartitionKey=str(number), Data=b"x")
            for number in range(4)
        ]
        answers = await asyncio.gather(*puts)

    assert len({answer["SequenceNumber"] for answer in answers}) == 4
