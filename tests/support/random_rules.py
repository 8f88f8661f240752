"""Rules and pauses for Hypothesis to choose from, and their numbers in the plain model."""

from fractions import Fraction

from hypothesis import strategies as st

from .clocked_limiter import SECOND

STEPS = st.one_of(st.integers(0, 50), st.integers(0, 5 * SECOND), st.integers(0, 100 * SECOND))
BUCKETS = st.fixed_dictionaries(
    {
        "capacity": st.integers(1, 12),
        "refill_rate": st.sampled_from([1, 2, 3, 7, 100, 0.1, 0.03, "1/m", "20/m", "7/h", 99_999]),
    }
)
WINDOWS = st.fixed_dictionaries(
    {"limit": st.integers(1, 12), "window": st.sampled_from([0.000_01, 0.5, 1, 7, 60])}
)
PER_SECOND = {"1/m": Fraction(1, 60), "20/m": Fraction(1, 3), "7/h": Fraction(7, 3600)}


def model_numbers(written):
    """Return what ``Bucket`` or ``Window`` of the plain model take for a rule."""
    if "limit" in written:
        return written["limit"], int(Fraction(str(written["window"])) * SECOND)
    rate = written["refill_rate"]
    return written["capacity"], PER_SECOND.get(rate, Fraction(str(rate).split("/")[0])) / SECOND
