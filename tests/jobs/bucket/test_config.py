import pytest

from spigot.jobs.bucket.config import (
    BucketConfig,
    BucketConfigError,
    load_bucket_configs,
    with_buckets,
)
from spigot.runtime.rate import Rate


@pytest.fixture
def path(tmp_path):
    return tmp_path / "buckets.json"


def test_reads_all_fields(path):
    path.write_text(
        '{"openai": {"rate": "60/m burst 3", "capacity": 200, "max_running": 8, "workers": 4}}'
    )

    openai = load_bucket_configs(path)["openai"]

    assert openai.rate == Rate.parse("60/m burst 3")
    assert (openai.capacity, openai.max_running, openai.workers) == (200, 8, 4)


def test_what_is_not_said_is_built_in(path):
    path.write_text('{"mail": {}}')

    assert load_bucket_configs(path)["mail"] == BucketConfig(
        rate=Rate.parse("10/s"), capacity=1000, max_running=None, workers=None
    )


def test_an_empty_file_has_the_default_bucket(path):
    path.write_text("{}")

    assert load_bucket_configs(path) == {"default": BucketConfig()}


def test_the_file_sets_the_default_bucket(path):
    path.write_text('{"default": {"capacity": 5}}')

    assert load_bucket_configs(path)["default"].capacity == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"mail": {"rate": "fast"}}', "mail rate: .*'fast' is no rate; write it like 10/s"),
        ('{"mail": {"rate": "0/s"}}', "mail rate: .*must be at least 1"),
        ('{"mail": {"rate": 5}}', "mail rate: must be a text; write it like 10/s"),
        ('{"mail": {"capacity": 0}}', "mail capacity: .*greater than 0"),
        ('{"mail": {"capacity": "many"}}', "mail capacity: .*integer"),
        ('{"mail": {"max_running": 0}}', "mail max_running: .*greater than 0"),
        ('{"mail": {"workers": -1}}', "mail workers: .*greater than 0"),
        ('{"mail": {"speed": "10/s"}}', "mail speed: there is no such field; known: rate, cap"),
        (
            '{"mail": {"capcity": 5}}',
            r"mail capcity: there is no such field; did you mean capacity\?",
        ),
        ('{"a": {"limit": 5, "window": 1}}', "a limit: .*this looks like rate_limits.json"),
        ('{"a": {"capacity": 5, "refill_rate": 1}}', "a refill_rate: .* like rate_limits.json"),
        ('{"mail": 5}', "mail: "),
        ('{"Mail": {}}', r"bucket 'Mail' must be named \[a-z\]\[a-z0-9_\]\*"),
        ('{"mail-high": {}}', "bucket 'mail-high' must be named"),
        ('{"": {}}', "bucket '' must be named"),
        ('{"mail": {"rate": "1/s"}, "mail": {}}', "'mail' is written twice"),
        ('{"mail": {"rate": "1/s", "rate": "2/s"}}', "'rate' is written twice"),
        ("[]", "the file: .*object"),
        ('{"mail": ', "the file: Invalid JSON"),
        ("", "the file: Invalid JSON"),
    ],
)
def test_a_file_that_cannot_be_used_names_the_bucket_and_the_field(path, text, problem):
    path.write_text(text)

    with pytest.raises(BucketConfigError, match=f"{path}: {problem}"):
        load_bucket_configs(path)


def test_a_missing_file_is_named(path):
    with pytest.raises(BucketConfigError, match=f"{path} cannot be read: No such file"):
        load_bucket_configs(path)


def test_a_bucket_that_only_a_job_type_names_gets_the_numbers_of_default():
    default, mail = BucketConfig(capacity=7), BucketConfig(capacity=9)

    configs, missing = with_buckets({"default": default, "mail": mail}, {"mail", "new", "also"})

    assert configs == {"default": default, "mail": mail, "new": default, "also": default}
    assert missing == ["also", "new"]
