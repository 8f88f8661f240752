"""The web: takes jobs in, no client faster than its limits, and tells where they are."""

if not __name__.startswith("spigot."):  # reached through the link at the repository's root
    raise ImportError(f"import spigot.{__name__} instead of {__name__}")
