"""What one client has left of each rule: to be shown and to be reset."""

from collections.abc import Iterator

from redis import Redis

from spigot.webapp.door.client_identity import GLOBAL

from . import keys
from .decide import DecideScript
from .decision import RuleState
from .rule import Rule
from .rule_cost import RuleCheck, RuleCost
from .rules import Rules


def states(redis: Redis, rules: Rules, client: str, prefix: str = "") -> tuple[RuleState, ...]:
    """Return how a client stands with the rules that count it.

    Args:
        redis: Connection to the door's server.
        rules: All rules.
        client: The name that its requests are counted under.
        prefix: In front of all names of the application (``keys.prefix_of``).

    Raises:
        redis.RedisError: The server is away.
    """
    checks = list(_checks(redis, rules, client, prefix))
    script = DecideScript(redis)
    return script.run(script.pack(checks, spend=False), checks).states if checks else ()


def reset(redis: Redis, rules: Rules, client: str, prefix: str = "") -> int:
    """Give a client back what it has spent; return of how many limits it had spent any.

    Args:
        redis: Connection to the door's server.
        rules: All rules.
        client: The name that its requests are counted under.
        prefix: In front of all names of the application (``keys.prefix_of``).

    Raises:
        redis.RedisError: The server is away.
    """
    state_keys = [check.state_key for check in _checks(redis, rules, client, prefix)]
    return int(redis.delete(*state_keys)) if state_keys else 0


def _checks(redis: Redis, rules: Rules, client: str, prefix: str) -> Iterator[RuleCheck]:
    for rule in rules.by_name.values():
        rule_cost = RuleCost(rule, rule.cost)
        for name in _names(redis, rule, client, prefix):
            yield RuleCheck.of(rule_cost, name, prefix)


def _names(redis: Redis, rule: Rule, client: str, prefix: str) -> Iterator[str]:
    """Yield the names under which a rule counts the client; joined ones are looked for."""
    if len(rule.counted_by) == 1:
        if _may_be_counted_by(rule.counted_by[0], client):
            yield client
        return
    beginning = prefix + rule.state_prefix
    found = {key.decode() for key in redis.scan_iter(match=keys.pattern(beginning), count=1000)}
    for name in sorted(key.removeprefix(beginning) for key in found):
        if client in name.split(","):
            yield name


def _may_be_counted_by(part: str, client: str) -> bool:
    if GLOBAL in (part, client):
        return part == client
    return client.startswith(f"{part}=") or not client.startswith("header:")
