"""What share of a limit the jobs of a bucket can use, and which burst would do."""

from dataclasses import dataclass

WANTED = 0.97


@dataclass(frozen=True, slots=True)
class UsableShare:
    """What a budget lets through, whatever waits.

    Attributes:
        share: Of the limit, 0 to 1.
        burst: That lets 97 % of it through; None if the present one does, or if no burst would.
    """

    share: float
    burst: int | None


def usable_share_of_held(
    burst: float, per_second: float, reserved: float, used: float, run_seconds: float
) -> UsableShare:
    """Reckon for a budget that is held until attempts end.

    A job holds what it reserved while it runs, and then spends what it used. So many run at once as
    the burst holds, and each of their places serves one job in its run time and the time in which
    what it used drains.

    Args:
        burst: What may be spent at once.
        per_second: What refills a second.
        reserved: By a job, on the mean, > 0.
        used: By a job, on the mean.
        run_seconds: How long a job runs, on the mean.
    """
    wanted = reserved * (run_seconds * per_second + used) / used if used else 0.0
    share = min(1.0, burst / wanted) if wanted else 1.0
    return UsableShare(share, round(WANTED * wanted) + 1 if share < WANTED else None)
