"""Any sequence of operations: no message is lost or doubled, and no group gets out of order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from worker.emulators.sqs.model import QueueAttributes, Sending, SqsError
from worker.emulators.sqs.queue import Queue

MAX_RECEIVE_COUNT = 3
GROUPS = st.sampled_from("abc")


class QueueMachine(RuleBasedStateMachine):
    """Drives a queue and its dead-letter queue; keeps the books beside them."""

    type_attributes: dict[str, str] = {}  # noqa: RUF012  read only
    suffix = ""
    leases = Bundle("leases")

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.dead_letters = self.create("dead")
        policy = f'{{"deadLetterTargetArn":"{self.dead_letters.arn}","maxReceiveCount":3}}'
        self.queue = self.create("queue", RedrivePolicy=policy)
        self.queue.dead_letters = self.dead_letters
        self.sent: dict[str, tuple[str, int]] = {}
        self.deleted: set[str] = set()

    def create(self, name, **attributes):
        parsed = QueueAttributes.parse({**self.type_attributes, **attributes})
        return Queue(name + self.suffix, parsed, clock=lambda: self.now)

    @rule(group_id=GROUPS, delay_seconds=st.sampled_from([0, 0, 0, 5]))
    def send(self, group_id, delay_seconds):
        number = len(self.sent)
        sending = Sending(body=str(number), group_id=group_id, delay_seconds=delay_seconds)
        self.sent[self.queue.send(sending).message_id] = (group_id, number)

    @rule(
        target=leases,
        at_most=st.integers(1, 10),
        seconds=st.one_of(st.none(), st.integers(0, 60)),
    )
    def receive(self, at_most, seconds):
        in_flight = self.in_flight_groups()
        received = self.queue.receive(at_most, seconds)
        assert len(received) <= at_most
        self.check_order([message for message, _ in received], in_flight)
        for message, _ in received:
            assert message.receives <= MAX_RECEIVE_COUNT
        return multiple(*received)

    @rule(lease=leases)
    def delete(self, lease):
        before = {message.id for message in self.queue.messages()}
        try:
            self.queue.delete(lease.receipt_handle)
        except SqsError:
            assert self.queue.attributes.fifo
        self.deleted |= before - {message.id for message in self.queue.messages()}

    @rule(lease=leases, seconds=st.integers(0, 120))
    def change_visibility(self, lease, seconds):
        held = {message.id: message.receives for message in self.queue.messages()}
        try:
            self.queue.change_visibility(lease.receipt_handle, seconds)
        except SqsError:
            return
        assert lease.message.id in held

    @rule(lease=leases)
    def deliver_again(self, lease):
        if lease.message in self.queue.messages():
            self.queue.expose(lease.message)

    @rule(seconds=st.sampled_from([0.5, 1, 5, 30, 120]))
    def pass_time(self, seconds):
        self.now += seconds

    @invariant()
    def every_message_is_in_exactly_one_place(self):
        here = [message.id for message in self.queue.messages()]
        dead = [message.id for message in self.dead_letters.messages()]
        assert sorted([*here, *dead, *self.deleted]) == sorted(self.sent)

    @invariant()
    def depth_adds_up(self):
        assert sum(self.queue.depth()) == len(self.queue.messages())

    @invariant()
    def nothing_hidden_is_overdue(self):
        for message in self.queue.messages():
            assert message.hidden_until is None or message.hidden_until > self.now

    def in_flight_groups(self):
        return set()

    def check_order(self, received, in_flight_groups):
        """Ask nothing: a standard queue promises no order."""


class FifoQueueMachine(QueueMachine):
    """The same, and the order of each group."""

    type_attributes = {"FifoQueue": "true"}  # noqa: RUF012  read only
    suffix = ".fifo"

    def in_flight_groups(self):
        in_flight = [m for m in self.queue.messages() if m.state.value == "in_flight"]
        return {message.sent.group_id for message in in_flight}

    def check_order(self, received, in_flight_groups):
        waiting = [self.sent[m.id] for m in self.queue.messages() if m not in received]
        for message in received:
            group_id, number = self.sent[message.id]
            assert group_id not in in_flight_groups
            assert not [older for group, older in waiting if group == group_id and older < number]
        numbers = [self.sent[message.id] for message in received]
        for group_id in "abc":
            of_group = [number for group, number in numbers if group == group_id]
            assert of_group == sorted(of_group)


QueueMachine.TestCase.settings = settings(stateful_step_count=40)
FifoQueueMachine.TestCase.settings = QueueMachine.TestCase.settings
TestStandardQueue = QueueMachine.TestCase
TestFifoQueue = FifoQueueMachine.TestCase
