"""The tap: starts jobs at the rate of their bucket, and loses none."""

if not __name__.startswith("spigot."):  # reached through the link at the repository's root
    raise ImportError(f"import spigot.{__name__} instead of {__name__}")
