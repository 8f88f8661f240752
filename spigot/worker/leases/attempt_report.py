"""What there is to tell of an attempt when it ends, whatever becomes of its job."""

import base64
import zlib
from dataclasses import dataclass

from spigot.jobs.bucket.claim_answers import Claim


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """One attempt, as the result log and RQ's results are to show it.

    Attributes:
        token: Of the attempt.
        type_name: For the result log: the job type's, or the function's; "" if no line is due.
        error: One line: what went wrong, or why the job runs again; "" if finished.
        trace: The traceback, if there is one.
        progress: JSON of what the function reported last; "" for none.
        late_us: How long after its slot the function was called; None if it was not.
        used: What it said that it used of each budget, as scripts read amounts; "" for nothing.
        noted: What its downstream said of its own limits, likewise.
        counted_as: The type in metrics: ``rq`` for all that plain RQ enqueued, whose functions
            anybody may name.
        claim: Of the attempt, if it is at hand: then the server has less to read.
    """

    token: str
    type_name: str = ""
    error: str = ""
    trace: str = ""
    progress: str = ""
    late_us: int | None = None
    used: str = ""
    noted: str = ""
    counted_as: str = "rq"
    claim: Claim | None = None

    @property
    def told(self) -> str:
        """``used`` and ``noted`` as scripts take them."""
        return f"{self.used}|{self.noted}" if self.noted else self.used

    @property
    def late(self) -> int | str:
        """``late_us`` as scripts take it."""
        return "" if self.late_us is None else self.late_us

    @property
    def rq_trace(self) -> str:
        """The traceback as RQ keeps it."""
        return rq_trace(self.trace)


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a bucket is to wait because its downstream refused a job.

    Attributes:
        us: From now on.
        kind: Of the refusal: ``wait`` or ``quota``.
        stated: Whether the downstream said how long; if not, holds grow.
    """

    us: int = 0
    kind: str = "wait"
    stated: bool = True


NO_HOLD = Hold()


def rq_trace(text: str) -> str:
    """Return a traceback as RQ keeps it in its results; "" for none."""
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"))).decode() if text else ""
