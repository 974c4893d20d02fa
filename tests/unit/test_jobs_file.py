"""deploy/jobs.json, which Terraform and charts read, is what `worker jobs --json` prints."""

import json
from pathlib import Path

from worker.app.jobs import BOX, catalogue, known_jobs, wanted_of

FILE = Path(__file__).parents[2] / "deploy" / "jobs.json"


def test_the_file_is_current():
    of_the_box = [entry for entry in catalogue() if entry["distribution"] == BOX]

    assert json.loads(FILE.read_text()) == {"jobs": of_the_box}, "make docs"


def test_each_topic_is_a_type_that_its_job_wants():
    unread = [
        (name, topic)
        for name, job in known_jobs().items()
        for topic in job.topics
        if not any(one.wants(topic) for one in wanted_of(job, job.settings()))
    ]

    assert unread == []


def test_terraform_makes_a_rule_for_each_topic():
    rules = (FILE.parent / "terraform" / "events.tf").read_text()
    topics = {topic for entry in catalogue() for topic in entry["topics"]}

    assert [topic for topic in sorted(topics) if f'"{topic}"' not in rules] == []
