"""How long the applications pretend to work."""

from pydantic import NonNegativeFloat
from pydantic_settings import BaseSettings, SettingsConfigDict


class Simulation(BaseSettings):
    """Seconds of work, read from the environment and ``.env`` when a job begins."""

    model_config = SettingsConfigDict(
        env_prefix="EXAMPLES_", env_file=".env", extra="ignore", use_attribute_docstrings=True
    )

    request_seconds: NonNegativeFloat = 10
    """Of one request."""

    document_seconds: NonNegativeFloat = 3
    """Of one document."""
