"""Write what attempts tell while they run."""

from redis import Redis

from .progress_writer import ProgressWriter
from .usage_writer import UsageWriter


class AttemptWriters:
    """Those of one process, for all of its attempts.

    Args:
        redis: Whose server is written to, on connections of their own.

    Attributes:
        progress: Takes what functions report of their progress.
        usage: Takes what they use beyond what they reserved.
    """

    def __init__(self, redis: Redis) -> None:
        self.progress = ProgressWriter(redis)
        self.usage = UsageWriter(redis)

    def close(self) -> None:
        """Write no more."""
        self.progress.close()
        self.usage.close()
