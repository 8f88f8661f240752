"""As ``test_crash_sweep.py``, of a pool, and of the server."""

import pytest

from tests.support.crash_sweep import sweep_servers, sweep_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("deed", ["kill worker and horse", "terminate worker", "cut connection"])
def test_nothing_is_lost_wherever_the_pool_is_disturbed(deed, fork_server, catalog, tmp_path):
    sweep_workers(deed, fork_server, catalog, tmp_path, concurrency=4)


def test_nothing_is_lost_whenever_the_server_is_killed(fork_server, catalog, tmp_path):
    sweep_servers(fork_server, catalog, tmp_path)
