"""``buckets.json``: how fast the jobs of each bucket go out."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from spigot.jobs.budgets.budget import BudgetConfig
from spigot.jobs.budgets.declared_cost import DeclaredCost, InvalidCost
from spigot.jobs.budgets.known_costs import with_largest_costs
from spigot.jobs.store import keys
from spigot.runtime.errors import OperatorError
from spigot.runtime.followed_file import read_text
from spigot.runtime.rate import Rate
from spigot.runtime.wrong_field import (
    RepeatedNameError,
    about_unknown_field,
    unique_names,
    wrong_value,
)

BudgetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]

DEFAULT = "default"
USUAL_NAME = "buckets.json"

MOST_CONCURRENCY = 10_000
"""Jobs that one process may run at once."""


class BucketConfigError(OperatorError):
    """The file cannot be used; the message says which bucket and field."""


class BucketConfig(BaseModel):
    """The numbers of one bucket."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    rate: Rate = Rate.parse("10/s")
    """Jobs that may start, over the whole fleet, such as `60/m burst 3`."""

    capacity: PositiveInt = 1000
    """Jobs that may wait."""

    max_running: PositiveInt | None = None
    """Jobs that may run at once, over the whole fleet."""

    workers: PositiveInt | None = None
    """Worker processes that `spigot up` and `spigot worker` start for it."""

    concurrency: Annotated[int, Field(ge=1, le=MOST_CONCURRENCY)] | None = None
    """Jobs that each of these processes runs at once; 1, if it is not there."""

    budgets: dict[BudgetName, BudgetConfig] = {}
    """Other limits than jobs per time, such as `{"tokens": "90000/m"}`."""


FILE = TypeAdapter(dict[str, BucketConfig])


def load_bucket_configs(path: Path, *, optional: bool = False) -> dict[str, BucketConfig]:
    """Read the file.

    Args:
        path: The file.
        optional: It counts as ``{}`` if it does not exist.

    Returns:
        The buckets by name; ``default`` is always there, built in if the file lacks it.

    Raises:
        BucketConfigError: The file is not there, or not valid.
    """
    return parse_bucket_configs(path, read_text(path, BucketConfigError, optional=optional))


def parse_bucket_configs(path: Path, text: str) -> dict[str, BucketConfig]:
    """Read the text of the file ``path``, as ``load_bucket_configs`` does.

    Raises:
        BucketConfigError: It is not valid.
    """
    try:
        configs = FILE.validate_json(text)
        json.loads(text, object_pairs_hook=unique_names)
    except ValidationError as error:
        raise BucketConfigError(f"{path}: {_first_problem(error)}") from error
    except RepeatedNameError as error:
        raise BucketConfigError(f"{path}: {error}") from error
    for name in configs:
        if not keys.BUCKET.fullmatch(name):
            raise BucketConfigError(f"{path}: bucket {name!r} must be named [a-z][a-z0-9_]*")
    return {DEFAULT: BucketConfig(), **configs}


def _first_problem(error: ValidationError) -> str:
    problems = error.errors()
    unknown = (problem for problem in problems if problem["type"] == "extra_forbidden")
    problem = next(unknown, problems[0])  # a typo explains what is missing, not the reverse
    where = " ".join(map(str, problem["loc"])) or "the file"
    if problem["type"] != "extra_forbidden":
        return f"{where}: {wrong_value(problem)}"
    field = str(problem["loc"][-1])
    model = BudgetConfig if "budgets" in problem["loc"] else BucketConfig
    return f"{where}: {about_unknown_field(field, list(model.model_fields), USUAL_NAME)}"


def with_buckets(
    configs: dict[str, BucketConfig], names: Iterable[str]
) -> tuple[dict[str, BucketConfig], list[str]]:
    """Give each bucket of ``names`` that has no numbers those of ``default``.

    Returns:
        All buckets, and the names that were missing, for a warning.
    """
    missing = sorted(set(names) - set(configs))
    unstated = BucketConfig.model_construct(_fields_set=set(), **dict(configs[DEFAULT]))
    return configs | dict.fromkeys(missing, unstated), missing


def with_costs(
    configs: dict[str, BucketConfig], costs: Iterable[DeclaredCost]
) -> dict[str, BucketConfig]:
    """Check what the job types cost, and set each burst of a budget that the file leaves open.

    Args:
        configs: All buckets.
        costs: Those of the job types; those of buckets that are not there are left out.

    Raises:
        BucketConfigError: A job type does not say what its bucket must know, or says it wrongly.
    """
    costs = list(costs)
    return {name: _with_costs(config, name, costs) for name, config in configs.items()}


def _with_costs(config: BucketConfig, name: str, costs: list[DeclaredCost]) -> BucketConfig:
    if not config.budgets:
        return config
    try:
        own = [cost for cost in costs if cost.bucket == name]
        budgets = with_largest_costs(config.budgets, own)
    except InvalidCost as error:
        raise BucketConfigError(str(error)) from error
    values: dict[str, Any] = {**dict(config), "budgets": budgets}
    return BucketConfig.model_construct(_fields_set=set(config.model_fields_set), **values)
