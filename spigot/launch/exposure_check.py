"""Check of how the admin's password travels."""

from ipaddress import ip_address

from spigot.runtime.settings import Settings

from .admin_password import PasswordFileError, kept_password
from .finding import Finding

CHECK = "admin"
MEND = (
    "put a proxy with TLS in front and name it in SPIGOT_TRUSTED_PROXIES, or listen on this "
    "machine alone (HOST=127.0.0.1)"
)


def check_exposure(settings: Settings) -> Finding:
    """Check that the admin's password does not cross a network in plain HTTP.

    Only settings and data folder are looked at: whether a proxy speaks TLS cannot be seen here.
    """
    try:
        made_up = None if settings.redis_url else kept_password(settings.data_dir)
    except PasswordFileError as error:
        return Finding(CHECK, False, str(error), "until then, `spigot up` does not start")
    if settings.admin_password is None and made_up is None:
        return Finding(CHECK, True, "nobody can log in: SPIGOT_ADMIN_PASSWORD is not set here")
    place = f"the web listens on {settings.host}"
    if is_this_machine(settings.host):
        return Finding(CHECK, True, f"{place}, on this machine alone; `spigot open` logs in")
    if settings.trusted_proxies:
        return Finding(CHECK, True, f"{place}, behind proxies that are trusted: have them use TLS")
    return Finding(CHECK, False, f"{place}, and takes the admin's password in plain HTTP", MEND)


def is_this_machine(host: str) -> bool:
    """Return whether nobody else can reach what listens on ``host``."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
