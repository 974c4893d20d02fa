"""Finds the AWS calls in the code, and says which IAM action each of them needs."""  # noqa: INP001  a script's folder

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import botocore.session
from botocore import xform_name

IAM_PREFIXES = {"stepfunctions": "states"}
"""Services whose actions are not called by the name of their client."""

NEEDS_NOTHING = {"sts:GetCallerIdentity"}

ALSO = {
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    "sqs:StartMessageMoveTask": {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:SendMessage",
    },
}
"""What an action needs besides itself."""

INSTEAD = {
    "s3:HeadObject": "s3:GetObject",
    "s3:ListObjects": "s3:ListBucket",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "dynamodb:TransactWriteItems": "dynamodb:PutItem",
}
"""Actions of another name than their call; batch calls of SQS use that of the single one."""

BY_NAME = {"call", "generate_presigned_url", "get_paginator", "get_waiter"}
"""Methods that take the operation as a text: of every client, and `AwsService.call`."""

LOOPS = {"loop", "_loop"}
"""Names of event loops: their `create_connection` is named as an operation of EventBridge."""

PROTECTION = {"PUT": "ecs:UpdateTaskProtection", "GET": "ecs:GetTaskProtection"}
"""What the ECS agent needs of the task's role, by the method it is asked with."""


class Operations:
    """The operations of the services that the code opens clients for, by their method."""

    def __init__(self, services: set[str]) -> None:
        session = botocore.session.get_session()
        self._actions: dict[str, set[str]] = {}
        for service in sorted(services):
            prefix = IAM_PREFIXES.get(service, service)
            for operation in session.get_service_model(service).operation_names:
                action = f"{prefix}:{operation}"
                self._actions.setdefault(xform_name(operation), set()).add(action)

    def actions_of(self, method: str) -> set[str]:
        """Return the actions that a method may need; several when services share its name."""
        return set().union(*(_needed(action) for action in self._actions.get(method, ())))


def _needed(action: str) -> set[str]:
    if action.startswith("sqs:"):
        action = action.removesuffix("Batch")
    return ({INSTEAD.get(action, action)} | ALSO.get(action, set())) - NEEDS_NOTHING


def parsed(folder: Path) -> dict[str, ast.Module]:
    """Return all modules below the package's folder, by the name that imports them."""
    return {
        _name_of(file.relative_to(folder.parent)): ast.parse(file.read_text())
        for file in sorted(folder.rglob("*.py"))
    }


def _name_of(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def services_of(modules: Mapping[str, ast.Module]) -> set[str]:
    """Return the services of all `client("…")`, `aws_client("…")` and their like."""
    known = set(botocore.session.get_session().get_available_services())
    return {
        argument.value
        for tree in modules.values()
        for call in _calls_in(tree)
        for argument in call.args
        if isinstance(argument, ast.Constant) and argument.value in known
    }


def actions_in(tree: ast.Module, operations: Operations) -> dict[str, int]:
    """Return the actions that a module needs, and the line of one call for each."""
    return {
        action: line
        for method, line in _methods_in(tree)
        for action in operations.actions_of(method)
    } | dict.fromkeys(_protection(tree), 0)


def _methods_in(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield methods that are called, handed to a call, named in one, or given a short name."""
    for named in ast.walk(tree):
        if isinstance(named, ast.Assign) and isinstance(named.value, ast.Attribute):
            yield named.value.attr, named.value.lineno
    for call in _calls_in(tree):
        for node in (call.func, *call.args, *(keyword.value for keyword in call.keywords)):
            if isinstance(node, ast.Attribute) and not _is_of_a_loop(node):
                yield node.attr, node.lineno
        if isinstance(call.func, ast.Attribute) and call.func.attr in BY_NAME and call.args:
            match call.args[0]:
                case ast.Constant(value=str(operation)):
                    yield operation, call.lineno


def _is_of_a_loop(method: ast.Attribute) -> bool:
    match method.value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in LOOPS
        case _:
            return False


def _protection(tree: ast.Module) -> set[str]:
    """Return what `/task-protection/` of the ECS agent needs; nothing where no agent is asked."""
    texts = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    if not any(text.startswith("/task-protection/") for text in texts):
        return set()
    return {action for method, action in PROTECTION.items() if method in texts}


def _calls_in(tree: ast.Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def imports_of(tree: ast.Module, modules: Mapping[str, ast.Module]) -> set[str]:
    """Return the modules that a module imports, wherever in it.

    What is imported by a package's door counts as imported from where it is defined.
    """
    return {
        _defined_in(node.module, alias.name, modules)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }


def _defined_in(module: str, name: str, modules: Mapping[str, ast.Module]) -> str:
    if f"{module}.{name}" in modules:
        return f"{module}.{name}"
    for node in modules[module].body if module in modules else ():
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _defined_in(node.module, alias.name, modules)
    return module
