"""The dashboard: a row for each job made from its declaration, and a way from panel to runbook."""

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
SCRIPT = MONITORING / "dashboard.py"
FILE = MONITORING / "grafana" / "dashboards" / "worker.json"
JOBS = json.loads((MONITORING.parent / "jobs.json").read_text())["jobs"]
ALERTS = re.findall(r"- alert: (\w+)", (MONITORING / "rules.yml").read_text())
HEADINGS = re.findall(r"^###? (\w+)$", (MONITORING.parent / "README.md").read_text(), re.MULTILINE)
OPEN = ["SLO", "Queue"]


def made(*options, jobs="", **environment):
    done = subprocess.run(  # noqa: S603  a fixed command
        [sys.executable, SCRIPT, *options],
        input=jobs,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture
def dashboard():
    return json.loads(FILE.read_text())


def rows(dashboard):
    return {panel["title"]: panel for panel in dashboard["panels"] if panel["type"] == "row"}


def everything(dashboard):
    return [one for panel in dashboard["panels"] for one in (panel, *panel.get("panels", ()))]


def expressions(panels):
    return "\n".join(target["expr"] for panel in panels for target in panel["targets"])


def test_the_file_is_what_the_script_makes():
    assert made() == FILE.read_text(), "make docs"


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job["name"])
def test_a_job_has_a_row_with_its_runs_and_the_upstreams_it_declares(dashboard, job):
    row = rows(dashboard)[f"Job {job['name']}: {job['summary']}"]

    asked = expressions(row["panels"])
    assert f'handler="{job["name"]}"' in asked
    upstreams = re.search(r'dependency=~"([^"]*)"', asked)[1].split("|")
    assert not {*job["needs"], *job["may_miss"]} - {*upstreams}


def test_a_job_of_ones_own_has_a_row_and_one_that_went_has_none():
    own = {**JOBS[0], "name": "stock", "summary": "asks", "needs": ["stock"], "may_miss": []}

    titles = rows(json.loads(made("--jobs", "-", jobs=json.dumps({"jobs": [own]}))))

    assert [title for title in titles if title.startswith("Job ")] == ["Job stock: asks"]


def test_a_job_without_upstreams_has_no_panel_of_them():
    alone = {**JOBS[0], "needs": [], "may_miss": [], "webhooks": []}

    dashboard = json.loads(made("--jobs", "-", jobs=json.dumps({"jobs": [alone]})))

    [row] = [row for title, row in rows(dashboard).items() if title.startswith("Job ")]
    assert "dependency" not in expressions(row["panels"])


def test_all_rows_but_those_that_come_first_are_folded(dashboard):
    found = {title: row["collapsed"] for title, row in rows(dashboard).items()}

    assert [title for title, folded in found.items() if not folded] == OPEN
    assert list(found)[:2] == OPEN
    assert all(rows(dashboard)[title]["panels"] for title, folded in found.items() if folded)


def test_each_alert_is_linked_from_a_panel_that_draws_what_it_reads(dashboard):
    links = [link for panel in everything(dashboard) for link in panel.get("links", ())]

    assert {link["title"] for link in links} == {f"Runbook: {alert}" for alert in ALERTS}
    assert {link["url"].rpartition("#")[2] for link in [*links, *dashboard["links"]]} <= {
        heading.lower() for heading in HEADINGS
    }


def test_a_dead_letter_is_explained_where_dead_letters_are_drawn(dashboard):
    [panel] = [one for one in everything(dashboard) if one["title"] == "Dead-lettered"]

    assert [link["title"] for link in panel["links"]] == [
        "Runbook: WorkerDeadLetters",
        "Runbook: WorkerDeadLettersGrowing",
    ]


def test_the_runbook_is_where_it_is_said_to_be():
    base = "https://git.internal/worker/"

    dashboard = json.loads(made(RUNBOOK_BASE=base))

    [variable] = [one for one in dashboard["templating"]["list"] if one["name"] == "runbook"]
    assert (variable["query"], variable["current"]["value"]) == (base, base)


def test_a_new_version_is_drawn_over_all_panels(dashboard):
    [shown] = [one for one in dashboard["annotations"]["list"] if one["enable"]]

    assert "by (version) (worker_info" in shown["expr"]
    assert shown["titleFormat"] == "Version {{version}}"


def test_no_two_panels_have_one_id_or_one_place(dashboard):
    ids = [panel["id"] for panel in everything(dashboard)]

    assert len(set(ids)) == len(ids)
    for group in (dashboard["panels"], *(row["panels"] for row in rows(dashboard).values())):
        places = [panel["gridPos"] for panel in group]
        assert not any(overlap(*pair) for pair in combinations(places, 2))


def overlap(one, other):
    return all(
        one[start] < other[start] + other[length] and other[start] < one[start] + one[length]
        for start, length in (("x", "w"), ("y", "h"))
    )
