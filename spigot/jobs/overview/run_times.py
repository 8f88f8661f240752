"""How long jobs hold their places: what past ones took, and what those that run show already.

``store/lua/running_times.lua`` makes these numbers, and reckons with them in the same way.
"""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class RunTimes:
    """Run times of a bucket's jobs, in seconds.

    Attributes:
        past: The mean of jobs that ended; 0 if none has.
        expected: What a job is reckoned to take: the mean, or more if half of those that run have
            taken longer already.
        longest: What the job that has run longest has taken; 0 if none runs.
        longer: What jobs that run longer than expected have taken, the shortest first.
        each: How many jobs each of these stands for.
    """

    past: float = 0.0
    expected: float = 0.0
    longest: float = 0.0
    longer: tuple[float, ...] = ()
    each: float = 1.0

    def wait_for_places(self, jobs: int, places: int) -> float:
        """Return after how long so many jobs have found a place; infinite if nobody knows.

        A place whose job runs longer than others is reckoned to be taken as long again.

        Args:
            jobs: More than find a free place.
            places: All that there are.
        """
        moving, work = self._moving(places), jobs * self.expected
        wait = work / moving if moving else inf
        for taken in self.longer:
            moving, work = moving + self.each, work + self.each * (taken - self.expected)
            wait = min(wait, work / moving)
        return wait

    def carried(self, places: int) -> float:
        """Return how many jobs a second the places carry now; infinite if nobody knows."""
        if not self.expected:
            return inf
        slow = sum(self.each / taken for taken in self.longer)
        return self._moving(places) / self.expected + slow

    def _moving(self, places: int) -> float:
        return max(0.0, places - self.each * len(self.longer))
