"""Checks of the server, and of the workers that have signed on there."""

from collections.abc import Collection, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from jobs import keys
from jobs.errors import OperatorError
from jobs.redis_connection import connect
from jobs.server_url import find_server_url, without_password
from jobs.settings import Settings

from .finding import Finding

OLDEST_VERSION = (6, 2)
ANSWER_SECONDS = 2.0


def check_servers(settings: Settings, buckets: Collection[str]) -> list[Finding]:
    """Check the server, what is on it, and the door's own server if there is one.

    Args:
        settings: Ours.
        buckets: Names of the buckets in use.
    """
    findings: list[Finding] = []
    if settings.limits_redis_url:
        finding, _ = _ask("server of the door", settings.limits_redis_url)
        findings.append(finding)
    try:
        url = find_server_url(settings)
    except OperatorError as error:
        return [*findings, Finding("server", False, str(error), "run `spigot up`")]
    finding, info = _ask("server", url)
    findings.append(finding)
    if finding.ok:
        with connect(url, timeout=ANSWER_SECONDS, decode_responses=True) as redis:
            findings += [*check_server_state(info), *check_workers(redis, buckets)]
    return findings


def _ask(check: str, url: str) -> tuple[Finding, dict[str, Any]]:
    shown = without_password(url)
    try:
        with connect(url, timeout=ANSWER_SECONDS) as redis:
            info = redis.info()
    except (RedisError, ValueError) as error:
        mend = "start it, or set the right URL"
        return Finding(check, False, f"{shown} does not answer: {error}", mend), {}
    return Finding(check, True, f"{_name(info)} at {shown}"), info


def check_server_state(info: Mapping[str, Any]) -> list[Finding]:
    """Return a finding for each thing that a server should not say of itself.

    Args:
        info: Its answer to INFO; managed servers leave some of it out.
    """
    version = tuple(int(part) for part in info["redis_version"].split(".")[:2])
    policy = info.get("maxmemory_policy", "noeviction")
    wrong = [
        (version < OLDEST_VERSION, f"{_name(info)} is too old", "use 6.2 or newer"),
        (info.get("role") == "slave", "it is a replica", "set the URL of its primary"),
        (
            policy != "noeviction",
            f"when its memory is full, it drops keys, and jobs with them ({policy})",
            "set its maxmemory-policy to noeviction",
        ),
        (
            info.get("aof_enabled") == 0,
            "it forgets accepted jobs when it restarts",
            "set its appendonly to yes",
        ),
        (
            info.get("aof_last_write_status", "ok") != "ok",
            "it cannot write its files, and refuses jobs",
            "look at its disk",
        ),
    ]
    return [Finding("server", False, detail, mend) for is_wrong, detail, mend in wrong if is_wrong]


def check_workers(redis: Redis, buckets: Collection[str]) -> list[Finding]:
    """Check that each bucket which is in use, or in which jobs wait, has workers.

    Args:
        redis: Connection to the server of the queue side, with decoded replies.
        buckets: Names of the buckets in use.
    """
    published = set(map(str, redis.smembers(keys.buckets())))
    seconds, microseconds = redis.time()
    now_ms = seconds * 1000 + microseconds // 1000
    findings = []
    for name in sorted(published.union(buckets)):
        alive = redis.zcount(keys.workers(name), now_ms, "+inf")
        waiting = sum(redis.llen(keys.queue(queue)) for queue in keys.queue_names(name))
        ok = alive > 0 or (waiting == 0 and name not in buckets)
        detail = f"bucket {name}: {alive} alive, {waiting} jobs wait"
        findings.append(Finding("workers", ok, detail, "" if ok else f"run `spigot worker {name}`"))
    return findings


def _name(info: Mapping[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"
