"""``/clients``: who is refused at the door, and who is shut out."""

import logging
from dataclasses import dataclass
from typing import Annotated

from flask import Blueprint, abort, current_app, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field
from redis import Redis

from spigot.jobs.store.times import Moment, utc_text
from spigot.webapp.door.client_identity import parse_client
from spigot.webapp.door.duration import parse_duration
from spigot.webapp.door.rate_limits import bans
from spigot.webapp.door.rate_limits.refused_clients import most_refused
from spigot.webapp.http.accepted import wants_page, with_vary
from spigot.webapp.http.admin import admin_in_words, require_admin
from spigot.webapp.http.admin_change import require_admin_change
from spigot.webapp.http.description import NO_FORM, Answer, described
from spigot.webapp.http.forms import require_form
from spigot.webapp.http.request_body import read_model

MOST = 1000

log = logging.getLogger(__name__)

blueprint = Blueprint("clients", __name__, url_prefix="/clients")


@dataclass(frozen=True, slots=True)
class Client:
    """Who was refused or is banned.

    Attributes:
        client: The name that its requests are counted under.
        refused: How often each rule refused it in the last hour, by rule.
        banned_until_at: When its ban ends; None if it is not banned.
    """

    client: str
    refused: dict[str, int]
    banned_until_at: Moment | None


@dataclass(frozen=True, slots=True)
class Clients:
    """All that were refused in the last hour, or are banned."""

    clients: list[Client]


class Ban(BaseModel):
    """How long."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    lasts: Annotated[str, Field(alias="for", examples=["30m"])] = "1h"
    """Such as `90s`, `30m`, `1h` or `7d`."""


def read_clients(redis: Redis) -> list[Client]:
    """Return who was refused or is banned, banned ones first, then those refused most.

    Args:
        redis: Connection to the server of the door.

    Raises:
        redis.RedisError: It did not answer.
    """
    refused: dict[str, dict[str, int]] = {}
    for one in most_refused(redis, MOST):
        refused.setdefault(one.client, {})[one.rule] = one.count
    ends = bans.banned(redis)
    found = [
        Client(name, refused.get(name, {}), _moment(ends.get(name)))
        for name in dict.fromkeys([*ends, *refused])
    ]
    return sorted(found, key=lambda one: (not one.banned_until_at, -sum(one.refused.values())))


@blueprint.get("")
@described({200: Answer("The clients.", Clients)}, for_admin=True)
def index() -> ResponseReturnValue:
    """Show who was refused at the door in the last hour, and who is banned."""
    require_admin()
    if wants_page(request):
        response = current_app.extensions["clients_page"]()
    else:
        told = {
            "clients": [
                {"client": c.client, "refused": c.refused, "banned_until_at": c.banned_until_at}
                for c in read_clients(current_app.extensions["limits_redis"])
            ]
        }
        response = jsonify(told)
    return with_vary(response)


@blueprint.put("/<path:client>/ban")
@described(
    {
        200: Answer("The ban.", Client),
        400: "This is no client or no duration, or no rule counts by that header.",
    },
    for_admin=True,
)
def ban(client: str) -> ResponseReturnValue:
    """Shut a client out, for an hour if the body does not say how long."""
    require_admin_change()
    lasts = read_model(Ban).lasts if request.get_data() else "1h"
    return _ban(client, lasts)


@blueprint.delete("/<path:client>/ban")
@described({204: Answer("It is not banned any more."), 400: "This is no client."}, for_admin=True)
def unban(client: str) -> ResponseReturnValue:
    """Let a client in again."""
    require_admin_change()
    _unban(_name(client))
    return "", 204


@blueprint.post("/form")
@described(
    {
        303: Answer("It was done: see the clients."),
        400: "This is no client or no duration, or no rule counts by that header.",
        415: NO_FORM,
    },
    for_admin=True,
)
def press() -> ResponseReturnValue:
    """Ban or unban, for forms, which know no PUT."""
    require_admin_change()
    require_form("PUT or DELETE /clients/CLIENT/ban")
    client = _name(request.form.get("client", ""))
    if request.form.get("action") == "unban":
        _unban(client)
        return redirect(url_for("clients.index", unbanned=client), 303)
    _ban(client, request.form.get("for", "1h"))
    return redirect(url_for("clients.index", banned=client), 303)


def _ban(client: str, lasts: str) -> ResponseReturnValue:
    name = _name(client)
    _check_that_a_ban_acts(name)
    try:
        seconds = parse_duration(lasts)
    except ValueError as error:
        abort(400, str(error))
    log.info("%s bans %s for %s", admin_in_words(), name, lasts)
    ends = bans.ban(current_app.extensions["limits_redis"], name, seconds)
    return {"client": name, "refused": {}, "banned_until_at": _moment(ends)}


def _check_that_a_ban_acts(name: str) -> None:
    header, is_header, _ = name.removeprefix("header:").partition("=")
    if is_header and header not in current_app.extensions["counted_headers"]():
        abort(400, f"a ban of {name} would not act: no rule counts by header:{header}")


def _unban(name: str) -> None:
    log.info("%s unbans %s", admin_in_words(), name)
    bans.unban(current_app.extensions["limits_redis"], name)


def _name(client: str) -> str:
    try:
        return parse_client(client, current_app.extensions["ipv6_prefix"])
    except ValueError as error:
        abort(400, str(error))


def _moment(ends: float | None) -> str | None:
    return None if ends is None else utc_text(int(ends * 1_000_000), digits="seconds")
