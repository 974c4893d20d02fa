"""The five events the worker acts on. Nothing behind this module knows which form came in."""

from worker.events.attributes import AttributesWanted
from worker.events.chat import ChatScored
from worker.events.ended import ConversationEnded
from worker.events.origin import Origin
from worker.events.reports import ReportDue
from worker.events.voice import SpeakerScore, VoiceScored

__all__ = [
    "AttributesWanted",
    "ChatScored",
    "ConversationEnded",
    "Event",
    "Origin",
    "ReportDue",
    "SpeakerScore",
    "VoiceScored",
]

Event = VoiceScored | ConversationEnded | AttributesWanted | ChatScored | ReportDue
