"""The verbs that a voice score needs, in one object: data action and live conversation."""

from worker.clients.genesys.actions import Actions
from worker.clients.genesys.conversations import LiveConversations


class Verbs:
    """Both by one API."""

    def __init__(self, api, dialect, **actions):
        self.execute_data_action = Actions(api, dialect, **actions).execute_data_action
        self.caller = LiveConversations(api).caller
