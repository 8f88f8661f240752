"""Slows down whoever guesses the admin's password: a rule of the door that is always there.

It counts wrong passwords only, by the client that sent them. The right one is the admin's, and
passes: nobody can lock the admin out.
"""

from fractions import Fraction

from .rate_limits.outcomes import WRONG_PASSWORD
from .rate_limits.rule import Rule
from .rate_limits.rule_cost import RuleCost
from .rate_limits.token_bucket import TokenBucket

AT_ONCE = 10
SECONDS_EACH = 6

COSTS = (RuleCost(Rule(WRONG_PASSWORD, TokenBucket.of(AT_ONCE, Fraction(1, SECONDS_EACH))), 1),)
"""What a request with a wrong password costs beside what the rules of the file ask of it."""
