"""The tap: starts jobs at the rate of their bucket, and loses none."""

from .rate_aware_simple_worker import RateAwareSimpleWorker
from .rate_aware_worker import RateAwareWorker

__all__ = ["RateAwareSimpleWorker", "RateAwareWorker"]
