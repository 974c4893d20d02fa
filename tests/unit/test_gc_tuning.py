"""How often the worker collects garbage."""

import gc

import pytest

from worker.app.daemon import GC_THRESHOLD, spare_collections


@pytest.fixture(autouse=True)
def _as_before():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_what_is_there_is_not_checked_again_and_new_garbage_still_is():
    spare_collections()

    assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_threshold()[0] == GC_THRESHOLD
