"""A worker is disturbed at each round trip of its jobs' lives; all must be set right afterwards."""

import pytest

from tests.support.crash_sweep import sweep_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    "deed", ["kill worker", "kill worker and horse", "terminate worker", "cut connection"]
)
def test_nothing_is_lost_wherever_the_worker_is_disturbed(deed, fork_server, catalog, tmp_path):
    sweep_workers(deed, fork_server, catalog, tmp_path)
