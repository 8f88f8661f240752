"""Bans: clients that an operator shuts out for a while, whatever their quota."""

from redis import Redis, ResponseError

from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import is_spoilt, stored_text

from . import keys

LATEST_US = 253_402_300_799 * 1_000_000
"""The end of year 9999: what ends later was not written by us."""


def ban(redis: Redis, client: str, seconds: float, prefix: str = "") -> float:
    """Shut a client out.

    Args:
        redis: Connection to the door's server.
        client: The name that its requests are counted under.
        seconds: How long from now, at least a microsecond.
        prefix: In front of all names of the application (``keys.prefix_of``).

    Returns:
        Unix time at which the ban ends.
    """
    run = load_script(redis, __package__, "ban.lua")
    ban_keys = [keys.ban(client, prefix), keys.bans(prefix)]
    ends_us = run(keys=ban_keys, args=[client, int(seconds * 1_000_000)])
    return float(ends_us / 1_000_000)


def unban(redis: Redis, client: str, prefix: str = "") -> bool:
    """Let a client in again; return whether it was banned."""
    with redis.pipeline() as pipeline:
        pipeline.delete(keys.ban(client, prefix))
        pipeline.zrem(keys.bans(prefix), client)
        deleted, _ = pipeline.execute()
    return bool(deleted)


def banned(redis: Redis, prefix: str = "") -> dict[str, float]:
    """Return the Unix times at which bans end, by client."""
    with redis.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.zrange(keys.bans(prefix), 0, -1, withscores=True)
        (seconds, microseconds), bans = pipeline.execute(raise_on_error=False)
    if isinstance(bans, ResponseError) and is_spoilt(bans):
        return {}
    now_us = seconds * 1_000_000 + microseconds
    return {stored_text(client): us / 1_000_000 for client, us in bans if now_us < us <= LATEST_US}
