from random import Random

from worker.jobs.attributes.demo import AttributesJob
from worker.jobs.voice.demo import VoiceJob

MANY = 20_000
"""Of ten million numbers, so many drawn at random hold some twenty pairs."""


def test_no_two_made_up_callers_have_one_number():
    scores, began = VoiceJob(MANY, Random(1))._scores, AttributesJob(MANY, Random(1))._began

    assert len({score.phone for score in scores}) == len({one.phone for one in began}) == MANY
