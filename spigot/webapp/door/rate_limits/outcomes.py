"""What became of a request by rule, for those who count decisions."""

from .decision import Decision, Verdict

BAN = "(ban)"
"""Stands for a rule where an operator's ban decided."""

WRONG_PASSWORD = "(wrong-password)"
"""Name of the rule that counts wrong passwords of the admin."""


def outcomes(decision: Decision) -> dict[str, str]:
    """Return the outcome by rule.

    Returns:
        ``admitted``; ``refused``; ``cached``: refused without asking the server; ``shadow``:
        would have been refused by a rule in shadow mode; ``failed_open``: admitted although the
        server was away; ``failed_closed``: refused because it was. A rule that would have
        admitted a refused request has none.
    """
    unfit = (each.check for each in decision.states if not each.admits)
    found = {check.rule.name: "shadow" for check in (*decision.shadowed, *unfit)}
    if decision.verdict is Verdict.ADMITTED:
        passed = "failed_open" if decision.failed_open else "admitted"
        checks = (*decision.unasked, *(each.check for each in decision.states if each.admits))
        return found | {check.rule.name: passed for check in checks}
    refused = "cached" if decision.cached else "refused"
    if decision.verdict is Verdict.UNDECIDED:
        refused = "failed_closed"
    if decision.verdict is Verdict.BANNED:
        return {BAN: refused}
    return found | {check.rule.name: refused for check in decision.violated}
