"""deploy/jobs.json, which Terraform and charts read, is what `worker jobs --json` prints."""

import json
import re
from pathlib import Path

from worker.app.jobs import BOX, catalogue, known_jobs, topics, wanted_of

FILE = Path(__file__).parents[2] / "deploy" / "jobs.json"


def test_the_file_is_current():
    of_the_box = [entry for entry in catalogue() if entry["distribution"] == BOX]

    assert json.loads(FILE.read_text()) == {"jobs": of_the_box}, "make docs"


def test_each_topic_is_a_type_that_its_job_wants():
    unread = [
        (name, topic)
        for name, job in known_jobs().items()
        for topic in topics(job)
        if not any(one.wants(topic) for one in wanted_of(job, job.settings()))
    ]

    assert unread == []


def test_terraform_knows_the_resource_of_each_setting_that_an_action_needs():
    roles = (FILE.parent / "terraform" / "iam.tf").read_text()
    settings = {name for entry in catalogue() for name in entry["aws_actions"].values()}

    known = {
        name
        for name in settings
        if re.search(rf'^ +{name} += |"{name}" => arn', roles, re.MULTILINE)
    }

    assert known == settings
