"""Small applications built on Spigot: each a blueprint and its job types in one file."""

if not __name__.startswith("spigot."):  # reached through the link at the repository's root
    raise ImportError(f"import spigot.{__name__} instead of {__name__}")
