"""Loads the .lua file that lies beside the module that calls it."""

from importlib.resources import files

from redis import Redis
from redis.commands.core import Script


def load_script(redis: Redis, package: str, *names: str) -> Script:
    """Register a script with Redis.

    Args:
        redis: Connection the script runs on.
        package: Dotted package that holds the script; pass ``__package__``.
        *names: Such as ``"leak.lua"``, or ``"jobs/bucket.lua"`` for a file of another package.
            Several are joined in this order, because Lua in Redis cannot import: functions
            first, the script that calls them last.

    Returns:
        A callable; it sends EVALSHA and loads the source again after NOSCRIPT.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return redis.register_script("\n".join(_read(package, name) for name in names))


def _read(package: str, name: str) -> str:
    folder, _, filename = name.rpartition("/")
    return files(folder or package).joinpath(filename).read_text("utf-8")
