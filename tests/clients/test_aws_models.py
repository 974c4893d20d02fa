"""What botocore is given of its own files: less, and nothing that a call needs is missing."""

import pytest
from aiobotocore.session import AioSession

from worker.clients.aws.session import slim

SERVICES = ["sqs", "dynamodb", "stepfunctions", "events", "s3", "sts"]
REGIONS = ["us-east-1", "eu-west-2", "cn-north-1", "us-gov-west-1"]


async def client_of(chain, service, region="eu-west-2"):
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    async with chain.create_client(service, region_name=region, **keys) as client:
        return client


def slimmed():
    chain = AioSession()
    slim(chain)
    return chain


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("region", REGIONS)
async def test_a_service_has_the_same_endpoint_with_less_to_read(service, region):
    whole = await client_of(AioSession(), service, region)
    less = await client_of(slimmed(), service, region)

    assert less.meta.endpoint_url == whole.meta.endpoint_url


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_has_all_its_operations_and_their_members(service):
    whole = (await client_of(AioSession(), service)).meta.service_model
    less = (await client_of(slimmed(), service)).meta.service_model

    def members(model):
        return {
            name: (model.operation_model(name).input_shape, model.operation_model(name).http)
            for name in model.operation_names
        }

    def described(model):
        return {
            name: (sorted(shape.members) if shape else None, http)
            for name, (shape, http) in members(model).items()
        }

    assert described(less) == described(whole)


@pytest.mark.parametrize("service", SERVICES)
async def test_the_parameters_of_a_client_are_the_same(service):
    whole = (await client_of(AioSession(), service)).meta.service_model
    less = (await client_of(slimmed(), service)).meta.service_model

    def names(model):
        return [(one.name, one.type) for one in model.client_context_parameters]

    assert names(less) == names(whole)


async def test_no_documentation_is_kept():
    model = (await client_of(slimmed(), "s3")).meta.service_model

    assert [n for n in model.operation_names if model.operation_model(n).documentation] == []


async def test_endpoints_of_other_services_are_not_kept():
    partitions = slimmed().get_component("data_loader").load_data("endpoints")["partitions"]

    assert {"s3", "sqs"} <= set(partitions[0]["services"])
    assert "ec2" not in partitions[0]["services"]
