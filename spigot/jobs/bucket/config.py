"""``buckets.json``: how fast the jobs of each bucket go out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError

from spigot.jobs.store import keys
from spigot.runtime.errors import OperatorError
from spigot.runtime.followed_file import read_text
from spigot.runtime.rate import Rate
from spigot.runtime.unknown_field import about_unknown_field

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
    except ValidationError as error:
        raise BucketConfigError(f"{path}: {_first_problem(error)}") from error
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
        return f"{where}: {problem['msg']}"
    field = str(problem["loc"][-1])
    return f"{where}: {about_unknown_field(field, list(BucketConfig.model_fields), USUAL_NAME)}"


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
