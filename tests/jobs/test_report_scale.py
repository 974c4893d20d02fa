"""Two hundred thousand conversations: exact figures, in memory that does not grow with them.

The emulator runs here and makes each conversation when it is asked for; the report runs in a child,
whose peak memory is thus its own.
"""

import asyncio
import csv
import json
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.genesys import DAY_MS, OTHER_QUEUE, QUEUE, a_cloud
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.history import MadeUp

ROOT = Path(__file__).parents[2]
PER_DAY = 20_000
STEP_MS = 86_400_000 // PER_DAY
THIRD_QUEUE = QUEUE[:-1] + "3"
PEAK_MB = 200
LONGEST_MS = 20
"""CPU that the report uses between two turns of the loop at most."""

GROWTH_MB = 25
"""Allowed between one day and ten: malloc's noise, a tenth of what the rows alone would take."""


def made_up(days):
    queues = (QUEUE, OTHER_QUEUE, THIRD_QUEUE)
    return MadeUp(days * PER_DAY, first_ms=DAY_MS, step_ms=STEP_MS, queues=queues)


async def report_of(days, folder):
    """Run the child; return what it prints."""
    folder.mkdir()
    async with GenesysServer(a_cloud(made_up(days))) as cloud:
        child = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "tests.support.report_child",
                cloud.url,
                str(days),
                str(folder),
            ),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(child.communicate(), 300)
    assert child.returncode == 0
    return json.loads(output.splitlines()[-1])


def exactly(conversations):
    """The same figures by pandas: columns as in the CSV, and the durations in seconds."""
    columns = ["media_type", "queue_id", "duration_ms", "talk_ms", "hold_ms", "wrapup_code"]
    rows = [tuple(getattr(past, name) for name in columns) for past in conversations]
    frame = pd.DataFrame(rows, columns=columns)
    return {key: figures_of(group) for key, group in frame.groupby(["media_type", "queue_id"])}


def figures_of(group):
    sums = group[["duration_ms", "talk_ms", "hold_ms"]].sum()
    total, talk, hold = (Decimal(int(sums[name])) for name in sums.index)
    figures = {
        "conversation_count": str(len(group)),
        "avg_duration_seconds": half_up(total / 1000 / len(group), "0.01"),
        "talk_ratio": half_up(talk / total, "0.0001"),
        "hold_ratio": half_up(hold / total, "0.0001"),
        "efficiency_score": half_up(max(Decimal(0), 100 - 50 * hold / total), "0.01"),
        "unique_wrapup_codes": "|".join(sorted(group["wrapup_code"].unique())),
    }
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    lengths = group["duration_ms"].to_numpy() / 1000
    return figures, {
        name: np.quantile(lengths, share, method="inverted_cdf") for name, share in shares.items()
    }


def half_up(number, step):
    return str(number.quantize(Decimal(step), ROUND_HALF_UP))


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A day and ten days, each by a process of its own."""
    base = tmp_path_factory.mktemp("reports")

    async def both():
        return {days: await report_of(days, base / str(days)) for days in (1, 10)}

    return base, asyncio.run(both())


def rows_of(folder):
    with (folder / "report.csv").open(newline="") as lines:
        return {(row["mediaType"], row["queueId"]): row for row in csv.DictReader(lines)}


def test_two_hundred_thousand_conversations_pass_in_bounded_memory(reports):
    _, reported = reports
    for days, child in reported.items():
        peak, kept = child["peak_mb"], child["kept_ms"]
        sys.stdout.write(f"\n{days} days: {child['count']} rows, {peak:.0f} MB, {kept:.1f} ms\n")

    assert reported[10]["count"] == 10 * PER_DAY
    assert reported[10]["peak_mb"] < PEAK_MB
    assert reported[10]["peak_mb"] - reported[1]["peak_mb"] < GROWTH_MB


def test_no_part_of_the_work_keeps_the_event_loop_from_live_events(reports):
    _, reported = reports

    assert max(child["kept_ms"] for child in reported.values()) < LONGEST_MS


def test_their_figures_are_those_worked_out_from_whole_lists(reports):
    folder, _ = reports
    rows, exact = rows_of(folder / "10"), exactly(made_up(10))

    assert rows.keys() == exact.keys()
    for key, (figures, percentiles) in exact.items():
        row = rows[key]
        assert {name: row[name] for name in figures} == figures
        for name, seconds in percentiles.items():
            assert float(row[f"{name}_duration_seconds"]) == pytest.approx(seconds, rel=0.0101)
