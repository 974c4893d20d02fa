"""Rounds: turns are taken, and who fails is reported."""

import asyncio
from dataclasses import dataclass
from statistics import fmean

import pytest

from tests.benchmarks import environments
from tests.benchmarks.contest import Unmeasured, in_turns
from tests.benchmarks.contestants import OURS_OPTIMISED
from tests.benchmarks.sigterm import _judged


@dataclass(frozen=True)
class One:
    name: str


A, B = One("a"), One("b")


@pytest.fixture
def turns():
    return []


@pytest.fixture
def run(turns):
    async def run(one):
        turns.append(one.name)
        if one is B:
            raise Unmeasured("no such program")
        return len(turns)

    return run


async def test_the_contestants_take_turns(turns):
    async def run(one):
        turns.append(one.name)

    await in_turns("test", [A, B], 2, run)

    assert turns == ["a", "b", "a", "b"]


async def test_one_that_is_named_several_times_has_the_mean_of_its_turns_as_its_round(turns):
    async def run(one):
        turns.append(one.name)
        return len(turns)

    results = await in_turns("test", [A, B, A, B], 2, run, mean=fmean)

    assert turns == ["a", "b", "a", "b"] * 2
    assert results.rounds == {"a": [2, 6], "b": [3, 7]}


async def test_no_turn_is_dropped_in_silence(turns):
    async def run(one):
        turns.append(one.name)

    with pytest.raises(ValueError, match="too many"):
        await in_turns("test", [A, A], 1, run)


async def test_those_that_run_at_once_are_all_there_before_one_ends():
    both = asyncio.Barrier(2)

    async def run(one):
        async with asyncio.timeout(5):
            await both.wait()
        return one.name

    results = await in_turns("test", [A, B], 2, run, at_once=True)

    assert results.rounds == {"a": ["a", "a"], "b": ["b", "b"]}


async def test_without_the_optimised_python_its_rows_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "OPTIMISED", tmp_path / "python3")

    with pytest.raises(Unmeasured, match="BENCH_OPTIMISED_PYTHON"):
        await OURS_OPTIMISED.command(tmp_path, 1)


async def test_who_fails_is_not_run_again(run, turns):
    await in_turns("test", [A, B], 3, run)

    assert turns.count("b") == 1


async def test_who_fails_is_in_the_notes_with_the_reason(run):
    results = await in_turns("test", [A, B], 1, run)

    assert results.notes() == ["b: not measured: no such program"]


async def test_who_fails_later_keeps_its_rounds_and_the_notes_say_so(turns):
    async def run(one):
        turns.append(one.name)
        if len(turns) > 1:
            raise Unmeasured("it ended with 1")
        return len(turns)

    results = await in_turns("test", [A], 3, run)

    assert results.rounds["a"] == [1]
    assert results.notes() == ["a: broke off after round 1: it ended with 1"]


async def test_a_round_of_which_a_turn_failed_is_none(turns):
    async def run(one):
        turns.append(one.name)
        if len(turns) > 3:
            raise Unmeasured("it ended with 1")
        return len(turns)

    results = await in_turns("test", [A, A], 2, run, mean=fmean)

    assert results.rounds["a"] == [1.5]


async def test_who_fails_costs_the_others_no_round(run):
    results = await in_turns("test", [A, B], 3, run)

    assert len(results.rounds["a"]) == 3


def test_an_end_is_judged_by_the_notes_of_the_handlers_and_the_state_of_the_queue(tmp_path):
    notes = tmp_path / "notes"
    notes.write_text("begin 1\nbegin 2\nbegin 3\nend 1\nend 2\n")

    end = _judged({"hidden": [2, 3], "deleted": [1]}, notes, 0.5)

    assert (end.hidden, end.twice, end.cut) == (2, 1, 1)
