from collections.abc import Iterator

import pytest
from redis import Redis

from tests.support.fleet import Fleet, Web
from tests.support.servers import own_server

RULES = '{"jobs": {"limit": 1, "window": 3600, "match": "POST /jobs"}}'


class Target:
    """A web that is attacked, and its server.

    Attributes:
        address: Where it listens.
        redis: Connection to its server.
    """

    def __init__(self, web: Web, redis: Redis) -> None:
        self.address, self.redis = (web.host, web.port), redis

    def jobs(self) -> int:
        """Return how many jobs there are."""
        return sum(1 for _ in self.redis.scan_iter("rq:job:*", count=1000))


@pytest.fixture(scope="module")
def target(request, tmp_path_factory) -> Iterator[Target]:
    """A web with an admin; with one job a client if the module is ``LIMITED``."""
    with own_server() as server, Redis.from_url(server.url) as redis:
        fleet = Fleet(server.url, tmp_path_factory.mktemp("target"))
        fleet.settings = {"SPIGOT_ADMIN_PASSWORD": "secret", "SPIGOT_WEB_PROCESSES": "1"}
        if getattr(request.module, "LIMITED", False):
            (fleet.folder / "rate_limits.json").write_text(RULES)
        with fleet.web() as web:
            yield Target(web, redis)
