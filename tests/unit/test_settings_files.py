"""Settings from files: X_FILE, a secret that is rotated, and the file of --env-file."""

from pathlib import Path

import pytest

from tests.unit.test_settings import GOOD
from worker.app.jobs import describe, load_settings, unknown_settings
from worker.cli.commands import variables_in
from worker.errors import ConfigurationError
from worker.settings import Genesys, load_group

WITHOUT_SECRET = {name: text for name, text in GOOD.items() if name != "GENESYS_CLIENT_SECRET"}


def a_file(folder, content, name="secret"):
    file = folder / name
    file.write_bytes(content)
    return str(file)


def problems_of(**environ):
    with pytest.raises(ConfigurationError) as caught:
        load_settings({**WITHOUT_SECRET, **environ})
    return caught.value.problems


@pytest.mark.parametrize(
    "content", [b"s3cret", b"s3cret\n", b' "s3cret"\r\n', b"\xef\xbb\xbfs3cret\r\n"]
)
def test_a_secret_may_come_from_a_file(tmp_path, content):
    environ = {**WITHOUT_SECRET, "GENESYS_CLIENT_SECRET_FILE": a_file(tmp_path, content)}
    settings = load_settings(environ)

    assert settings.genesys.client_secret.get_secret_value() == "s3cret"
    assert settings.enabled_jobs() == ("voice",)
    assert unknown_settings(environ) == []
    assert "s3cret" not in repr(settings) + str(describe(settings)) + str(describe(environ))


def test_any_setting_may_come_from_a_file(tmp_path):
    environ = {name: text for name, text in GOOD.items() if name != "SQS_QUEUE_URL"}
    environ["SQS_QUEUE_URL_FILE"] = a_file(tmp_path, GOOD["SQS_QUEUE_URL"].encode())

    assert load_settings(environ).sqs.queue_url == GOOD["SQS_QUEUE_URL"]


def test_the_reason_of_a_bad_file_names_it_and_no_content(tmp_path):
    missing, empty = tmp_path / "none", a_file(tmp_path, b" \n", "empty")
    binary = a_file(tmp_path, b"s3cret\xff", "binary")
    large = a_file(tmp_path, b"s3cret" * 20_000, "large")
    said = {
        str(missing): "cannot be read: No such file or directory",
        empty: "is empty",
        binary: "is no text in UTF-8",
        large: "is larger than 65536 bytes",
        str(tmp_path): "is no file",
    }

    for path, reason in said.items():
        problems = problems_of(GENESYS_CLIENT_SECRET_FILE=path)
        assert problems == [f"GENESYS_CLIENT_SECRET_FILE: {path!r} {reason}"]


def test_a_setting_beside_its_file_is_refused(tmp_path):
    path = a_file(tmp_path, b"s3cret")
    problems = problems_of(GENESYS_CLIENT_SECRET="other", GENESYS_CLIENT_SECRET_FILE=path)

    assert problems == [
        "GENESYS_CLIENT_SECRET: is set beside GENESYS_CLIENT_SECRET_FILE; remove one of them"
    ]


def test_a_value_of_a_file_is_checked_as_any_other(tmp_path):
    (problem,) = problems_of(
        GENESYS_CLIENT_SECRET="s", CRM_API_TOKEN_FILE=a_file(tmp_path, b"t0ken with blanks")
    )

    assert problem.startswith("CRM_API_TOKEN: must be printable ASCII")
    assert "t0ken" not in problem


def replaced(path, content):
    """As Kubernetes does it: another file takes the place of the first at once."""
    new = Path(f"{path}.new")
    new.write_bytes(content)
    new.replace(path)


def test_a_rotated_secret_is_read_again(tmp_path):
    path = a_file(tmp_path, b"first")
    secret = load_group(Genesys, {"GENESYS_CLIENT_SECRET_FILE": path}).client_secret
    before = secret.get_secret_value()
    replaced(path, b"second\n")

    assert (before, secret.get_secret_value()) == ("first", "second")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"two\nlines"])
def test_half_a_rotation_leaves_the_last_secret_in_force(tmp_path, content):
    path = a_file(tmp_path, b"first")
    secret = load_group(Genesys, {"GENESYS_CLIENT_SECRET_FILE": path}).client_secret
    replaced(path, content)
    during = secret.get_secret_value()
    replaced(path, b"second")

    assert (during, secret.get_secret_value()) == ("first", "second")


def test_a_file_that_went_leaves_the_last_secret_in_force(tmp_path):
    path = a_file(tmp_path, b"first")
    secret = load_group(Genesys, {"GENESYS_CLIENT_SECRET_FILE": path}).client_secret
    Path(path).unlink()

    assert secret.get_secret_value() == "first"


def test_a_misspelt_file_is_pointed_out():
    problems = problems_of(GENESYS_CLIENT_SECRETS_FILE="/run/secrets/x")

    assert problems[-1] == (
        "GENESYS_CLIENT_SECRETS_FILE: unknown; did you mean GENESYS_CLIENT_SECRET_FILE?"
    )


def test_an_env_file_is_read_as_others_read_it(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(
        b"\xef\xbb\xbf# of the worker\n\nA=1\nexport B = two words # a note\nC='$A #no note'\n"
        b'D="line\\nbreak"\nE=\n'
    )

    assert variables_in(path) == {
        "A": "1",
        "B": "two words",
        "C": "$A #no note",
        "D": "line\nbreak",
        "E": "",
    }


def test_a_line_of_an_env_file_that_is_none_is_named_and_not_shown(tmp_path):
    path = tmp_path / ".env"
    path.write_text("A=1\nB='s3cret\nC=2\n")
    with pytest.raises(ConfigurationError) as caught:
        variables_in(path)

    assert str(caught.value) == f"--env-file: {str(path)!r}: line 2 is no NAME=value"


@pytest.mark.parametrize("content", [None, b"A=\xff"])
def test_an_env_file_that_cannot_be_read_is_a_configuration_error(tmp_path, content):
    path = tmp_path / ".env"
    if content:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"--env-file: .* cannot be read"):
        variables_in(path)
