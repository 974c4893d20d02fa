#!/usr/bin/env python3
"""moto as a server, with the answers added that Terraform's AWS provider cannot do without.

Prints its URL and serves until it is ended. Step Functions run their executions; a Lambda function
answers as configured, without Docker.
"""

import json
import logging
import os
import signal
import sys
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config
from moto.core.responses import ActionResult
from moto.events.models import EventsBackend
from moto.server import ThreadedMotoServer
from moto.sqs.models import Queue
from moto.stepfunctions.parser.api import InvalidExecutionInput
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.responses import StepFunctionResponse

REDRIVE_ALLOW_POLICY = "RedriveAllowPolicy"


def _validate_definition(response: StepFunctionResponse) -> ActionResult:
    """Answer ValidateStateMachineDefinition, which the provider asks while it plans."""
    problem = _problem_of(response._get_param("definition"))  # noqa: SLF001  how moto reads a request
    diagnostics = [{"severity": "ERROR", "code": "INVALID", "message": problem}] if problem else []
    result = "FAIL" if problem else "OK"
    return ActionResult({"result": result, "diagnostics": diagnostics, "truncated": False})


def _problem_of(definition: str) -> str | None:
    try:
        AmazonStateLanguageParser.parse(definition)
    except Exception as error:  # noqa: BLE001  the parser has no error of its own
        return str(error) or type(error).__name__
    return None


def _no_versions(_: StepFunctionResponse) -> ActionResult:
    """Answer ListStateMachineVersions."""
    return ActionResult({"stateMachineVersions": []})


def _no_tags(_: ApplicationAutoScalingResponse) -> str:
    """Answer ListTagsForResource of a scalable target."""
    return json.dumps({"Tags": {}})


def _tags_by_arn(backend: EventsBackend, arn: str) -> dict[str, Any]:
    """Answer ListTagsForResource of a bus; moto takes the last part of a partner's name for it."""
    tags: dict[str, Any] = backend.tagger.list_tags_for_resource(arn)
    return tags


def _bus_by_arn_or_name(_: EventsBackend, bus: str | None) -> str:
    """Return a bus's name; moto cuts a partner's at its last slash."""
    return "default" if bus is None else bus.rpartition(":event-bus/")[2]


def _invoke_if_there(backend: LambdaSimpleBackend, function: str, *call: Any) -> str | bytes | None:
    """Answer Invoke; moto without Docker has an answer for functions that are not there, too."""
    backend.get_function(function)
    return _invoke(backend, function, *call)


def _attributes_with_redrive_allow_policy(queue: Queue) -> dict[str, Any]:
    """Return a queue's attributes and the policy that moto takes, but never returns."""
    attributes: dict[str, Any] = _attributes(queue)
    if not attributes.get(REDRIVE_ALLOW_POLICY):  # never set, or taken away
        attributes.pop(REDRIVE_ALLOW_POLICY, None)
    return attributes


def _set_attributes_one_by_one(queue: Queue, attributes: dict[str, Any], *more: Any) -> None:
    """Set attributes; moto takes a queue's policy away with each call that does not name it.

    The provider sets policies and attributes of a queue side by side, and waits for what is lost.
    """
    policy = getattr(queue, "policy", None)  # None for a queue that is being made
    _set_attributes(queue, {"Policy": policy, **attributes}, *more)


_attributes = Queue.attributes.fget
_set_attributes = Queue._set_attributes  # noqa: SLF001  what is patched
_invoke = LambdaSimpleBackend.invoke


def patch() -> None:
    """Add the answers to moto."""
    StepFunctionResponse.validate_state_machine_definition = _validate_definition
    StepFunctionResponse.list_state_machine_versions = _no_versions
    ApplicationAutoScalingResponse.list_tags_for_resource = _no_tags
    EventsBackend.list_tags_for_resource = _tags_by_arn
    EventsBackend._normalize_event_bus_arn = _bus_by_arn_or_name  # noqa: SLF001  what is patched
    LambdaSimpleBackend.invoke = _invoke_if_there
    # Without it, an input that is no JSON is refused without a code; `worker check` asks with one.
    InvalidExecutionInput.TYPE = "InvalidExecutionInput"
    Queue._set_attributes = _set_attributes_one_by_one  # noqa: SLF001  what is patched
    Queue.redrive_allow_policy = None
    Queue.BASE_ATTRIBUTES.append(REDRIVE_ALLOW_POLICY)
    Queue.attributes = property(_attributes_with_redrive_allow_policy)


def main() -> None:
    """Serve until SIGTERM."""
    patch()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    default_user_config["lambda"] = {"use_docker": False}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    os.environ["MOTO_PORT"] = str(port)  # where its Step Functions look for the other services
    sys.stdout.write(f"http://{host}:{port}\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    server.stop()


if __name__ == "__main__":
    main()
