from spigot.jobs.bucket.config import USUAL_NAME as BUCKETS
from spigot.jobs.bucket.config import BucketConfig
from spigot.runtime.unknown_field import IN_ITS_FILE
from spigot.webapp.door.rate_limits.rules_text import USUAL_NAME as RATE_LIMITS
from spigot.webapp.door.rate_limits.written_rule import WrittenRule


def test_the_fields_of_one_file_are_no_fields_of_the_other():
    buckets, rules = set(BucketConfig.model_fields), set(WrittenRule.model_fields)

    assert IN_ITS_FILE[BUCKETS] <= buckets - rules
    assert IN_ITS_FILE[RATE_LIMITS] <= rules - buckets
