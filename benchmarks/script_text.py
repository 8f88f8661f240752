"""What the text of a script costs each call, because Redis runs all of it to make its functions.

    python benchmarks/script_text.py         # a few seconds

``leak.lua`` is called on an idle bucket of a private server: as it is sent, with its libraries
whole, as it was sent before the loader took only what is called, and as one line that does
nothing. The times are the server's own (``INFO commandstats``), without the way to it.
"""

import argparse
import re
from importlib.resources import files
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from laboratory import private_server
from redis import Redis

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import script_text as script_texts

FUNCTION = re.compile(r"^\s*local function ", re.MULTILINE)
ROUNDS = 9


def whole_text(package: str, filename: str) -> str:
    """Return a script after all of its libraries, with their comments."""
    script = files(package).joinpath(filename).read_text("utf-8")
    names = script_texts._libraries_of(script)
    return "".join([*map(script_texts.library_text, names), script])


def microseconds(redis: Redis, bucket: LeakyBucket, calls: int) -> float:
    """Return the server's time for one call."""
    bucket.claim("worker", "token", lease_ms=10_000)
    redis.config_resetstat()
    for _ in range(calls):
        bucket.claim("worker", "token", lease_ms=10_000)
    return float(redis.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=2000, help="in each of the rounds")
    calls = parser.parse_args().calls
    package = "spigot.jobs.bucket"
    texts = {
        "only what is called": script_texts.script_text(package, "leak.lua"),
        "whole libraries": whole_text(package, "leak.lua"),
        "one line": 'return { "sleep", 0, 0 }',
    }
    with (
        TemporaryDirectory() as folder,
        private_server(Path(folder)) as url,
        Redis.from_url(url) as redis,
    ):
        BucketPublisher(redis).publish({"default": BucketConfig()})
        buckets = {name: LeakyBucket(redis, "default") for name in texts}
        for name, text in texts.items():
            buckets[name]._leak = redis.register_script(text)
        times: dict[str, list[float]] = {name: [] for name in texts}
        for _ in range(ROUNDS):
            for name in texts:
                times[name].append(microseconds(redis, buckets[name], calls))
    print("| leak.lua | bytes | functions | µs a call |\n| --- | --- | --- | --- |")
    for name, text in texts.items():
        functions = len(FUNCTION.findall(text))
        print(f"| {name} | {len(text.encode())} | {functions} | {median(times[name]):.1f} |")


if __name__ == "__main__":
    main()
