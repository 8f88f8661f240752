"""Every address and number that may differ between two deployments."""

from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from .errors import OperatorError
from .origin import parse_origin
from .server_address import parse_server_url
from .unknown_settings import warn_of_unknown_settings
from .wrong_field import wrong_value

UNREAD = frozenset({"spigot_redis_url", "spigot_host", "spigot_port"})
"""What pydantic-settings would read beside ``REDIS_URL``, ``HOST`` and ``PORT``."""


class SettingsError(OperatorError):
    """A setting cannot be used; the message names the variable, its value and what is allowed."""


class Settings(BaseSettings):
    """Read from the environment and from ``.env``; built by ``load_settings``.

    A field's variable is ``SPIGOT_`` and its name in capitals; ``REDIS_URL``, ``HOST`` and
    ``PORT`` have no prefix.
    """

    model_config = SettingsConfigDict(
        env_prefix="SPIGOT_",
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    redis_url: Annotated[str | None, Field(validation_alias="REDIS_URL", repr=False)] = None
    """The server that all processes share: `redis://`, `rediss://`, `unix://`, or
    `sentinel://host:port,host:port/NAME/DB`. Unset: `spigot up` starts an embedded one, and the
    other commands use that one."""

    redis_password: Annotated[str | None, Field(repr=False)] = None
    """Password for a `REDIS_URL` that has none: as it is, without percent-encoding."""

    limits_redis_url: Annotated[str | None, Field(repr=False)] = None
    """Another server for the door. Unset: the same server."""

    data_dir: Path = Path("data")
    """Folder of the embedded server's files and of the result log."""

    result_log: Path | None = None
    """File that gets one JSON line per ended attempt. Unset: `results.jsonl` in the data
    folder."""

    result_log_max_bytes: PositiveInt = 100_000_000
    """A larger result log is renamed to one with the time in its name, and a new one begun."""

    apps: Annotated[tuple[str, ...], NoDecode] = ("spigot.examples",)
    """Python modules or packages with job types and blueprints, separated by commas. Unset: the
    one of the current folder that defines job types, or else the examples."""

    rate_limits: Path = Path("rate_limits.json")
    """The rules at the door. Unset: a file that is not there counts as `{}`."""

    buckets: Path = Path("buckets.json")
    """The buckets' rates and capacities. Unset: a file that is not there counts as `{}`."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks (CIDR, separated by commas) of proxies whose `X-Forwarded-For`, `-Proto`, `-Host`
    and `-Prefix` are believed. Empty: these headers are ignored."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins whose pages may use the API, such as `https://app.example`, separated by commas."""

    ipv6_prefix: Annotated[int, Field(ge=1, le=128)] = 64
    """Bits of an IPv6 address that make a client."""

    admin_password: Annotated[str | None, Field(repr=False)] = None
    """Password of the user `admin`. Unset: admin routes and dashboard answer 404; `spigot up`
    with the embedded server makes one up."""

    readonly: bool | None = None
    """`1`: pages and API take no changes by the admin; `POST /jobs` and `DELETE /jobs/ID` go on."""

    door_deadline: PositiveFloat = 0.1
    """Seconds the door may take before a rule's `on_error` decides."""

    keep_seconds: PositiveInt = 86400
    """Seconds that ended jobs and idempotency keys are kept."""

    wait_replicas: NonNegativeInt = 0
    """Replicas of the server that must have a job before a 202, or the call of `enqueue`, says that
    it is taken; and the end of an attempt before its worker goes on. 0: none, and a failover may
    lose the last jobs and ends."""

    wait_seconds: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Seconds that the replicas may take; then it is 503, and the job may run all the same. A
    worker goes on then, with a warning."""

    lease_seconds: Annotated[float, Field(ge=1)] = 15
    """Seconds after which the job of a silent worker is given to another."""

    max_reaps: PositiveInt = 3
    """A job whose workers fell silent that often is abandoned."""

    max_refusals: PositiveInt = 20
    """A job that its downstream refused that often, while others of its bucket passed, fails as
    `refused`."""

    grace_seconds: NonNegativeFloat = 8
    """Seconds a running job has after SIGTERM before it is given back."""

    web_processes: PositiveInt = 2
    """Processes of gunicorn."""

    web_threads: PositiveInt = 64
    """Threads in each of them."""

    max_body_bytes: PositiveInt = 262144
    """Larger bodies, lists of jobs included, get 413."""

    log_format: Literal["auto", "text", "json"] = "auto"
    """`text`, `json`, or `auto`: text on a terminal, JSON otherwise."""

    host: Annotated[str, Field(validation_alias="HOST")] = "127.0.0.1"
    """Address the web listens on."""

    port: Annotated[int, Field(validation_alias="PORT", ge=0, le=65535)] = 8000
    """Port the web listens on."""

    @cached_property
    def result_log_path(self) -> Path:
        """Where the result log is, whether it was set or not."""
        return self.result_log or self.data_dir / "results.jsonl"

    def is_unset(self, field: str) -> bool:
        """Return whether nobody set a field, so that its default holds."""
        return field not in self.model_fields_set

    def missing_files(self) -> list[Path]:
        """Return which of the two files nobody named and do not exist: each counts as ``{}``."""
        files = {"rate_limits": self.rate_limits, "buckets": self.buckets}
        return [path for name, path in files.items() if self.is_unset(name) and not path.exists()]

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _are_origins(cls, value: Any) -> Any:
        texts = value.split(",") if isinstance(value, str) else value
        return tuple(dict.fromkeys(parse_origin(text.strip()) for text in texts if text.strip()))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read variables under their documented names only.

        Fields that may be given by name would be read with the prefix, too, and Kubernetes sets
        ``SPIGOT_PORT=tcp://…`` beside a service that is named spigot.
        """
        for source in (env_settings, dotenv_settings):
            if isinstance(source, EnvSettingsSource):
                read = source.env_vars.items()
                source.env_vars = {name: value for name, value in read if name not in UNREAD}
        return init_settings, env_settings, dotenv_settings

    @field_validator("apps", "trusted_proxies", mode="before")
    @classmethod
    def _split_at_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("apps")
    @classmethod
    def _are_not_the_old_examples(cls, apps: tuple[str, ...]) -> tuple[str, ...]:
        for name in apps:
            if name.partition(".")[0] == "examples" and not _has_own_examples():
                raise ValueError(f"the examples of Spigot are spigot.{name}")
        return apps

    @field_validator("redis_url", "limits_redis_url")
    @classmethod
    def _is_server_url(cls, value: str | None) -> str | None:
        if value is not None:
            parse_server_url(value)
        return value


def load_settings(**overrides: Any) -> Settings:
    """Read the environment and ``.env``.

    Args:
        **overrides: Fields by name, which win over the environment.

    Raises:
        SettingsError: A value cannot be used; the process should print it and stop.
    """
    warn_of_unknown_settings({variable_name(field) for field in Settings.model_fields})
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(_first_problem(error)) from error


def variable_name(field: str) -> str:
    """Return the environment variable that sets ``field``."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"SPIGOT_{field.upper()}"


def _has_own_examples() -> bool:
    """Return whether the current folder has ``examples`` that are not a link to Spigot's."""
    here = Path("examples")
    brought_along = Path(__file__).parents[1] / "examples"
    return Path("examples.py").exists() or (here.exists() and not here.samefile(brought_along))


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    location = str(problem["loc"][0])
    variable = variable_name(location) if location in Settings.model_fields else location
    value = "(hidden)" if "PASSWORD" in variable or "URL" in variable else repr(problem["input"])
    return f"{variable}={value} cannot be used: {wrong_value(problem)}"
