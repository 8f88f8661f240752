"""What ``buckets.json`` may say of budgets, and the numbers that follow from it."""

import json

import pytest

from spigot.jobs.bucket.config import BucketConfigError, load_bucket_configs, with_costs
from spigot.jobs.budgets.amounts import MICRO, micro, plain
from spigot.jobs.budgets.budget import Budget, BudgetConfig, from_text, to_text
from spigot.jobs.budgets.declared_cost import DeclaredCost, InvalidCost


def budget(config: object, largest: float = 0) -> Budget:
    return Budget.of("tokens", BudgetConfig.model_validate(config), micro(largest))


@pytest.mark.parametrize(
    ("config", "burst"),
    [
        ("90000/m", 90_000),
        ({"limit": "8000/m", "counted": "unknown"}, 8_000),
        ({"limit": "90000/m", "counted": "at_start"}, 9_000),
        ({"limit": "90000/m", "counted": "at_start", "burst": 5}, 5),
        ({"limit": "10/h", "counted": "at_start"}, 1),
        ({"limit": "10/h", "counted": "at_start", "cost": 7}, 7),
        ({"limit": "10000/d", "window": "1d", "cost": 1}, 300),
        ({"limit": "600/m", "window": "10s"}, 3),
    ],
)
def test_a_burst_follows_from_the_limit(config, burst):
    assert budget(config).burst == burst


def test_a_burst_that_nobody_set_takes_the_most_costly_type_in():
    assert budget({"limit": "90000/m", "counted": "at_start"}, largest=20_000).burst == 20_000
    assert budget("90000/m", largest=200_000).burst == 90_000


@pytest.mark.parametrize(
    "config",
    ["90000/m", "7777/h", "150000000/m", "12345678901/d", {"limit": "9/m", "window": "2m"}],
)
def test_levels_are_counted_in_whole_units(config):
    found = budget(config)
    per_us = found.limit.count / found.limit.period_us
    if found.window:
        per_us -= found.burst / found.window.us

    assert found.drain / found.unit == pytest.approx(per_us, rel=1e-3)
    assert found.drain / found.unit <= per_us * (1 + 1e-12)
    assert found.burst * found.unit < 2**52
    assert from_text(to_text({"tokens": found})) == {"tokens": found}


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"limit": "10/m", "burst": 10, "window": "1m"}, "burst 10 must be less than the limit"),
        ({"limit": "10/d", "burst": 1, "window": "1m"}, "burst 1 must be less than the limit"),
        ({"limit": "1/d", "burst": 4_000_000_000}, "too large for the limit"),
        ({"limit": "9/m", "cost": 10}, "cost 10 is more than the burst of 9"),
        ({"limit": "9/m", "cost": -1}, "greater than or equal to 0"),
        ({"limit": "9/m", "burst": 0}, "greater than or equal to 1"),
        ({"limit": "9/m", "window": "0s"}, "'0s' is no window"),
        ({"limit": "0/m"}, "at least 1"),
        ({"limit": "9/w"}, "'9/w' is no limit"),
        ({"limit": 9}, "must be text like"),
        ({"limit": "9/m", "burts": 3}, "did you mean burst?"),
        ({}, "limit: Field required"),
        (9, "Input should be an object"),
    ],
)
def test_a_file_says_which_budget_is_wrong_and_why(tmp_path, config, problem):
    path = tmp_path / "buckets.json"
    path.write_text(json.dumps({"openai": {"budgets": {"tokens": config}}}))

    with pytest.raises(BucketConfigError) as error:
        load_bucket_configs(path)
    assert str(error.value).startswith(f"{path}: openai budgets tokens")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_budget_has_a_plain_name(tmp_path):
    path = tmp_path / "buckets.json"
    path.write_text('{"openai": {"budgets": {"To kens": "9/m"}}}')

    with pytest.raises(BucketConfigError, match="openai budgets To kens"):
        load_bucket_configs(path)


TWO = {
    "tokens": BudgetConfig.model_validate("90/m"),
    "day": BudgetConfig.model_validate({"limit": "9/d", "cost": 1, "burst": 5}),
}


def cost(value: object) -> DeclaredCost:
    return DeclaredCost("summary", "openai", value)


@pytest.mark.parametrize(
    ("value", "amounts"),
    [
        (5, {"tokens": 5}),
        (0.1, {"tokens": 0.1}),
        ({"tokens": 5}, {"tokens": 5}),
        ({"tokens": 5, "day": 2}, {"tokens": 5, "day": 2}),
        (10**30, {"tokens": 8 * 10**9}),
    ],
)
def test_a_cost_is_a_number_for_each_budget(value, amounts):
    found = cost(value).check(TWO)

    assert {name: plain(amount) for name, amount in found.items()} == amounts


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (None, "is not said, and its bucket 'openai' has the budget 'tokens'"),
        (-1, "of 'tokens' is -1, which is negative"),
        (float("nan"), "of 'tokens' is nan, which is not finite"),
        (float("inf"), "of 'tokens' is inf, which is not finite"),
        (True, "of 'tokens' is no number but a bool"),
        ("5", "of 'tokens' is no number but a str"),
        ({"day": 1}, "says nothing of the budget 'tokens'"),
        ({"tokens": 1, "tokenz": 1}, "names no budget of bucket 'openai': 'tokenz'"),
        ({"tokens": None}, "of 'tokens' is no number but nothing"),
    ],
)
def test_a_cost_that_cannot_be_used_is_named(value, problem):
    with pytest.raises(InvalidCost, match=f"^cost of job type 'summary' {problem}"):
        cost(value).check(TWO)


def test_one_number_is_not_enough_for_two_budgets():
    budgets = {"input": TWO["tokens"], "output": TWO["tokens"]}

    with pytest.raises(InvalidCost, match="must be a dict with input, output"):
        cost(5).check(budgets)
    with pytest.raises(InvalidCost, match="no budget of bucket 'openai' needs one"):
        cost(5).check({"day": TWO["day"]})


def test_a_bucket_without_budgets_needs_no_cost():
    assert cost(None).check({}) == cost(5).check({}) == {}


def test_the_start_stops_at_a_type_without_a_cost(tmp_path):
    path = tmp_path / "buckets.json"
    path.write_text('{"openai": {"budgets": {"tokens": "90/m"}}}')
    configs = load_bucket_configs(path)

    with pytest.raises(BucketConfigError, match="'summary' is not said"):
        with_costs(configs, [cost(None)])
    with_costs(configs, [DeclaredCost("other", "default", None)])


def test_the_most_costly_constant_sets_the_burst_of_its_bucket(tmp_path):
    path = tmp_path / "buckets.json"
    path.write_text('{"openai": {"budgets": {"t": {"limit": "90/m", "counted": "at_start"}}}}')
    costs = [cost(50), cost(lambda text: 5000), DeclaredCost("other", "default", 70)]

    found = with_costs(load_bucket_configs(path), costs)["openai"]

    assert found.budgets["t"].burst == 50
    assert found.model_fields_set == {"budgets"}


def test_amounts_are_rounded_up_to_millionths():
    assert micro(0.1) == 100_000
    assert micro(1e-9) == 1
    assert micro(3) == 3 * MICRO
