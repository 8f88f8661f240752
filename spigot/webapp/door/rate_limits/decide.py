"""Asks the server to decide a request: one script, one round trip, whatever number of rules."""

from collections.abc import Sequence

from redis import Redis

from . import keys
from .decision import Decision, RuleState, Verdict
from .direct_script import DirectScript, Packed
from .rule_cost import RuleCheck


class DecideScript:
    """The caller of ``decide.lua``, where the arithmetic and its source are.

    Args:
        redis: Tells how to reach the server that all web processes share, and how long to wait.
    """

    def __init__(self, redis: Redis) -> None:
        self._script = DirectScript(redis, __package__, "decide.lua")
        self.disconnect_idle = self._script.disconnect_idle

    def pack(
        self,
        checks: Sequence[RuleCheck],
        names: Sequence[str] = (),
        *,
        prefix: str = "",
        spend: bool = True,
        now_us: int | None = None,
    ) -> Packed:
        """Prepare the call for a request, which any number of like requests may use.

        Args:
            checks: What the request asks of each rule.
            names: Names of the client that a ban may be on.
            prefix: In front of the bans' names; the checks have it in theirs.
            spend: False only looks.
            now_us: Unix time; None: the clock of the server when it runs.
        """
        return self._script.pack(*script_input(checks, names, prefix, spend=spend, now_us=now_us))

    def run(self, call: Packed, checks: Sequence[RuleCheck]) -> Decision:
        """Spend from every rule, or from none if one refuses.

        Raises:
            redis.RedisError: It is not known whether anything was spent.
        """
        return script_output(checks, self._script.run(call))


def script_input(
    checks: Sequence[RuleCheck],
    names: Sequence[str],
    prefix: str = "",
    *,
    spend: bool = True,
    now_us: int | None = None,
) -> tuple[list[str], list[str | int | bytes]]:
    """Return the keys and the arguments of ``decide.lua``."""
    now = "" if now_us is None else now_us
    rules = [check.rule_cost.packed() for check in checks]
    state_keys = [check.state_key for check in checks]
    bans = [keys.ban(name, prefix) for name in names]
    return [*bans, *state_keys], [now, int(spend), len(names), *rules]


def script_output(checks: Sequence[RuleCheck], reply: Sequence[int]) -> Decision:
    """Return the decision that ``decide.lua`` has replied."""
    if reply[0]:
        return Decision(Verdict.BANNED, wait_us=reply[0])
    answers = zip(checks, reply[2::3], reply[3::3], reply[4::3], strict=True)
    return Decision.of(
        [RuleState(check, admits == 1, level, pending) for check, admits, level, pending in answers]
    )
