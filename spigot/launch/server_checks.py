"""Checks of the server, and of the workers that have signed on there."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from spigot.jobs.store import keys
from spigot.jobs.store.primary_watch import ask_for_writes
from spigot.jobs.store.replica_wait import ReplicaWait, wait_from
from spigot.jobs.store.server_rights import find_missing_rights
from spigot.jobs.store.stored_values import bucket_names
from spigot.jobs.store.times import server_us
from spigot.runtime.count_text import count_text
from spigot.runtime.errors import OperatorError
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_faults import OLDEST_VERSION, explain, is_denied
from spigot.runtime.server.server_url import find_server_url, without_password
from spigot.runtime.settings import Settings

from .bucket_checks import check_published_buckets
from .finding import Finding
from .key_checks import check_keys, is_spoilt
from .lost_job_checks import check_lost_jobs

ANSWER_SECONDS = 2.0


def check_servers(settings: Settings, buckets: Collection[str]) -> list[Finding]:
    """Check the server, what is on it, and the door's own server if there is one.

    Args:
        settings: Ours.
        buckets: Names of the buckets in use.
    """
    findings: list[Finding] = []
    if settings.limits_redis_url:
        found, _ = _ask("server of the door", settings.limits_redis_url, door_only=True)
        findings += found
    try:
        url = find_server_url(settings)
    except OperatorError as error:
        return [*findings, Finding("server", False, str(error), "run `spigot up`")]
    wait = wait_from(settings)
    found, info = _ask("server", url, waits=wait is not None)
    findings += [*found, *check_server_state(info)]
    if all(finding.ok for finding in found):
        if wait:
            findings.append(check_replicas(url, wait))
        with connect(url, timeout=ANSWER_SECONDS) as redis:
            findings += check_keys(redis)
            findings += check_published_buckets(redis, settings)
            findings.append(check_lost_jobs(redis))
            findings += check_workers(redis, buckets)
    return findings


def _ask(
    check: str, url: str, *, door_only: bool = False, waits: bool = False
) -> tuple[list[Finding], Mapping[str, Any]]:
    """Return what is to be said of a server, and what it says of itself."""
    shown = without_password(url)
    try:
        with connect(url, timeout=ANSWER_SECONDS) as redis:
            missing = find_missing_rights(redis, door_only=door_only, waits=waits)
            info = _info(redis)
            if not missing and not info:
                ask_for_writes(redis)
    except RedisError as error:
        fault = explain(error)
        return [Finding(check, False, f"{shown} {fault.detail}", fault.mend)], {}
    if missing:
        fault = missing.fault()
        return [Finding(check, False, f"{shown} {fault.detail}", fault.mend)], info
    return [Finding(check, True, f"{_name(info)} at {shown}")], info


def _info(redis: Redis) -> Mapping[str, Any]:
    """Return the answer to INFO, which only this command needs; empty without the right to it."""
    try:
        info: Mapping[str, Any] = redis.info()
    except ResponseError as error:
        if not is_denied(error):
            raise
        return {}
    return info


def check_server_state(info: Mapping[str, Any]) -> list[Finding]:
    """Return a finding for each thing that a server should not say of itself.

    Args:
        info: Its answer to INFO; managed servers leave some of it out.
    """
    version = tuple(map(int, re.findall("[0-9]+", info.get("redis_version", ""))[:2]))
    policy = info.get("maxmemory_policy", "noeviction")
    wrong = [
        (
            bool(version) and version < OLDEST_VERSION,
            f"{_name(info)} is too old",
            "use 6.2 or newer",
        ),
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


def check_replicas(url: str, wait: ReplicaWait) -> Finding:
    """Write, and wait for the replicas as each accepted job does.

    Args:
        url: Of the server of the queue side.
        wait: What the settings ask for.
    """
    try:
        with connect(url, timeout=ANSWER_SECONDS + wait.seconds) as redis:
            error: RedisError | None = wait.try_once(redis)
    except RedisError as fault:
        error = fault
    if error is None:
        return Finding("replicas", True, f"{wait.replicas} or more have what is written in time")
    mend = "start or mend replicas, or lower SPIGOT_WAIT_REPLICAS: until then, no job is accepted"
    return Finding("replicas", False, str(error), mend)


def check_workers(redis: Redis, buckets: Collection[str]) -> list[Finding]:
    """Check that each bucket which is in use, or in which jobs wait, has workers.

    Args:
        redis: Connection to the server of the queue side.
        buckets: Names of the buckets in use.
    """
    published = set(bucket_names(redis))
    now_ms = server_us(redis) // 1000
    findings = []
    for name in sorted(published.union(buckets)):
        if is_spoilt(redis, name):
            continue  # check_keys says so
        alive = redis.zcount(keys.workers(name), now_ms, "+inf")
        waiting = sum(_waiting(redis, queue) for queue in keys.queue_names(name))
        ok = alive > 0 or (waiting == 0 and name not in buckets)
        jobs = count_text(waiting, "job waits", "jobs wait")
        detail = f"bucket {name}: {alive} alive, {jobs}"
        findings.append(Finding("workers", ok, detail, "" if ok else f"run `spigot worker {name}`"))
    return findings


def _waiting(redis: Redis, queue: str) -> int:
    return max(0, redis.llen(keys.queue(queue)) - redis.zcard(keys.blanks(queue)))


def _name(info: Mapping[str, Any]) -> str:
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    if "redis_version" in info:
        return f"Redis {info['redis_version']}"
    return "a server that does not tell this user its version and state (INFO)"
