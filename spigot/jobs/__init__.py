"""What a job is and where it waits; the web and the workers both build on it."""

if not __name__.startswith("spigot."):  # reached through the link at the repository's root
    raise ImportError(f"import spigot.{__name__} instead of {__name__}")
