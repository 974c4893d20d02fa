"""Replicas behind one name, served at addresses of loopback; and one that was stopped."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager

from msgspec.structs import replace

from worker.ops import Health, OpsServer, Status
from worker.settings import Ops
from worker.telemetry import DeadLetterCause, JobStatus, QueueStatus, Snapshot

NAME = "worker.cluster.test"
ADDRESSES = ("127.0.0.21", "127.0.0.22", "127.0.0.23")
FROZEN = """
import socket
listener = socket.create_server(("{address}", {port}))
print("listening", flush=True)
while True: listener.accept()
"""
"""A process that is stopped takes connections all the same: its kernel does."""


def free_port():
    """Return a port that is free on all addresses of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def names(known):
    """Let the resolver know names of several addresses, as a headless service has."""
    resolve = socket.getaddrinfo

    def lookup(host, port, *more, **options):
        if host not in known:
            return resolve(host, port, *more, **options)
        return [found for one in known[host] for found in resolve(one, port, *more, **options)]

    socket.getaddrinfo = lookup
    try:
        yield known
    finally:
        socket.getaddrinfo = resolve


@contextmanager
def replica(snapshot, address, port, *, host="", **checks):
    """Serve a snapshot, or what a function returns, as a replica at an address."""
    health = Health(stall_seconds=3600, checks=checks)
    health.beat()
    taken = snapshot if callable(snapshot) else lambda: snapshot
    status = Status(taken, health)
    with OpsServer(Ops(host=address, port=port), health, lambda: replace(status(), host=host)):
        yield health


@contextmanager
def frozen_replica(address, port):
    """Run a process that was stopped: nothing of it runs, and its port takes connections."""
    command = [sys.executable, "-c", FROZEN.format(address=address, port=port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603  ours
    process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def a_queue(**over):
    """Return a queue that moves."""
    return QueueStatus(
        **{
            "name": "voice",
            "jobs": ("voice",),
            "last_receive_seconds_ago": 0.1,
            "last_message_seconds_ago": 0.1,
            **over,
        }
    )


def a_replica(queue, **outcomes):
    """Return a worker of one queue and one job."""
    cause = DeadLetterCause(reason="bad", job="voice", fingerprint="f1", dead_letters=2)
    return Snapshot(
        queues=(queue,),
        jobs=(JobStatus(name="voice", state="open", outcomes=outcomes),),
        dead_letter_causes=(cause,),
        in_flight=queue.in_flight,
        concurrency=64,
        uptime_seconds=7_500.0,
    )


def two_that_answer():
    """Return two of three replicas: 20 in flight at SQS in all, 12 of them at the third."""
    moving = a_queue(in_flight=5, visible=40, invisible=15, dead_letters=4)
    shut = a_queue(
        in_flight=3, visible=38, invisible=17, dead_letters=4, gate="closed", gate_reason="crm"
    )
    return a_replica(moving, ok=100, retry=1), a_replica(shut, ok=50)
