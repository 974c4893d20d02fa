"""The verbs that a voice score needs, in one object: data action, live conversation, score."""

from worker.clients.genesys.actions import Actions
from worker.clients.genesys.conversations import LiveConversations
from worker.clients.genesys.speech import Scores


class Verbs:
    """All by one API."""

    def __init__(self, api, dialect, **actions):
        self.execute_data_action = Actions(api, dialect, **actions).execute_data_action
        self.caller = LiveConversations(api).caller
        self.score = Scores(api).of_conversation
