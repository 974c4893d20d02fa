"""What is read out of a transcript file, and what is left alone."""

from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from worker.clients.genesys.transcripts import ScoredPhrase, customer_phrases, sentiment_of_phrases
from worker.emulators.genesys.cloud import a_transcript

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"


def a_file(phrases, sentiment):
    return {"transcripts": [{"phrases": phrases, "analytics": {"sentiment": sentiment}}]}


def shares(*phrases):
    sentiment = sentiment_of_phrases(customer_phrases(a_transcript(*phrases)))
    assert sentiment is not None
    return sentiment


def test_the_recorded_file_has_one_negative_phrase():
    file = orjson.loads((SAMPLES / "platform/transcript_file.json").read_bytes())

    assert customer_phrases(file) == [ScoredPhrase(-1, Decimal("0.91"))]


def test_shares_are_counted_over_the_scored_phrases():
    sentiment = shares((1, 0.9), (-1, 0.8), (-1, 0.7), (0, 0.6))

    assert (sentiment.positive, sentiment.neutral, sentiment.negative) == (
        Decimal("0.25"),
        Decimal("0.25"),
        Decimal("0.5"),
    )
    assert sentiment.confidence == Decimal("0.75")


def test_equal_counts_are_an_exact_tie():
    assert shares((1, 1), (0, 1), (-1, 1)).polarity() == "neutral"


def test_phrases_of_agents_do_not_count():
    scores = [
        {"participant": "internal", "sentiment": 1, "phraseIndex": 0},
        {"participant": "external", "sentiment": -1, "phraseIndex": 1},
    ]

    assert [phrase.score for phrase in customer_phrases(a_file([], scores))] == [-1]


@pytest.mark.parametrize(
    ("medium", "confidence"),
    [*((medium, Decimal(1)) for medium in ("message", "CHAT", "email", None)), ("call", None)],
)
def test_a_phrase_of_typed_text_without_confidence_is_certain(medium, confidence):
    file = a_transcript((1, None)) | {"mediaType": medium}

    assert customer_phrases(file) == [ScoredPhrase(1, confidence)]


def test_who_spoke_is_taken_from_the_phrase_where_the_score_does_not_say():
    phrases = [{"participantPurpose": "external", "phraseIndex": 4, "confidence": 1}]

    found = customer_phrases(a_file(phrases, [{"sentiment": 0, "phraseIndex": 4}]))

    assert found == [ScoredPhrase(0, Decimal(1))]


def test_the_confidence_of_a_phrase_without_score_is_not_in_the_mean():
    file = a_transcript((1, 0.9), (1, 0.1))
    file["transcripts"][0]["analytics"]["sentiment"].pop()

    assert sentiment_of_phrases(customer_phrases(file)).confidence == Decimal("0.9")


def test_phrases_without_any_confidence_leave_it_unknown():
    assert sentiment_of_phrases([ScoredPhrase(1, None)]).confidence is None


def test_a_phrase_scored_twice_counts_once():
    file = a_transcript((1, 0.9))
    file["transcripts"][0]["analytics"]["sentiment"] *= 2

    assert len(customer_phrases(file)) == 1


def test_parts_of_one_file_are_read_together_though_their_indexes_start_anew():
    file = {"transcripts": [part for n in (1, -1) for part in a_transcript((n, 1))["transcripts"]]}

    assert [phrase.score for phrase in customer_phrases(file)] == [1, -1]


@pytest.mark.parametrize("score", [0.4, -0.42, 2, "1", None, True, [], float("nan")])
def test_scores_of_another_scale_are_left_out(score):
    file = a_file([], [{"participant": "external", "sentiment": score, "phraseIndex": 0}])

    assert customer_phrases(file) == []


@pytest.mark.parametrize(
    "file",
    [
        {},
        {"transcripts": None},
        {"transcripts": [None, 3, {}]},
        {"transcripts": [{"phrases": "x", "analytics": []}]},
        {"transcripts": [{"phrases": [{"phraseIndex": []}], "analytics": None}]},
        {"transcripts": [{"phrases": [7], "analytics": {"sentiment": {"a": 1}}}]},
    ],
)
def test_a_file_without_scores_says_nothing(file):
    assert sentiment_of_phrases(customer_phrases(file)) is None
