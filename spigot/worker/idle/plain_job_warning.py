"""Says once that jobs of plain RQ take nothing of a budget, because nobody said what they cost."""

import logging
from collections.abc import Mapping

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.config import BucketConfig

log = logging.getLogger(__name__)


class PlainJobWarning:
    """Looks at what a worker claims, until there was something to say.

    Args:
        bucket: Name of the worker's bucket.
        configs: The buckets as the file has them.
    """

    def __init__(self, bucket: str, configs: Mapping[str, BucketConfig]) -> None:
        self._bucket = bucket
        self._configs = configs
        self._is_said = False

    def look_at(self, claim: Claim) -> None:
        """Log a warning at the first job of plain RQ that takes nothing of a budget."""
        if self._is_said or b"spigot_type" in claim.fields:
            return
        config = self._configs.get(self._bucket)
        budgets = config.budgets.items() if config else ()
        free = [name for name, it in budgets if it.cost is None and not it.default_cost]
        if free:
            self._is_said = True
            log.warning(
                "job %s of plain RQ takes nothing of %s: set default_cost in bucket %s, or use "
                "job types; this is said once",
                claim.job_id,
                ", ".join(free),
                self._bucket,
            )
