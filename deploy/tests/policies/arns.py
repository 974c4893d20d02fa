"""Prints overrides that give each resource of a mocked run an ARN of its own."""  # noqa: INP001  a script's folder

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from state import ACCOUNT, REGION, resources

Values = Mapping[str, Any]


def _queue(values: Values) -> dict[str, str]:
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{values['name']}"
    return {"arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{values['name']}", "id": url, "url": url}


def _table(values: Values) -> dict[str, str]:
    return {"arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{values['name']}"}


def _bucket(values: Values) -> dict[str, str]:
    return {"arn": f"arn:aws:s3:::{values['bucket']}", "id": values["bucket"]}


def _machine(values: Values) -> dict[str, str]:
    return {"arn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{values['name']}"}


KINDS: Mapping[str, Callable[[Values], dict[str, str]]] = {
    "aws_sqs_queue": _queue,
    "aws_dynamodb_table": _table,
    "aws_s3_bucket": _bucket,
    "aws_sfn_state_machine": _machine,
}


def main() -> None:
    """Print a block for each."""
    for one in resources(Path(sys.argv[1]), "policies"):
        if one.type in KINDS:
            sys.stdout.write(_override(one.address, KINDS[one.type](one.values)))


def _override(address: str, values: Mapping[str, str]) -> str:
    lines = [f'    {name} = "{value}"' for name, value in values.items()]
    block = ["override_resource {", f"  target = {address}", "  values = {", *lines, "  }", "}", ""]
    return "\n".join(["", *block])


if __name__ == "__main__":
    main()
