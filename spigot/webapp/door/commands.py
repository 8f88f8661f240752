"""``spigot limits``: the rules at the door, and the clients in front of it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem
from redis import Redis

from spigot.jobs.store.times import utc_text
from spigot.runtime.command_group import CommandGroup
from spigot.runtime.count_text import count_text
from spigot.runtime.errors import OperatorError
from spigot.runtime.proposals import proposing
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import Settings, load_settings
from spigot.runtime.terminal import as_json, from_now, print_fields, print_json, print_table
from spigot.runtime.whole_number import WholeNumber
from spigot.webapp.door.rate_limits.decision import RuleState
from spigot.webapp.door.rate_limits.refused_clients import most_refused
from spigot.webapp.door.rate_limits.rule import Rule
from spigot.webapp.door.rate_limits.rules import DEFAULT, Rules
from spigot.webapp.door.rate_limits.rules_file import read_rules

from .client_identity import GLOBAL, parse_client
from .duration import parse_duration
from .rate_limits import bans, client_states, keys

COMMAND_REPLY_SECONDS = 5.0
MOST_PROPOSED = 50
STATE_HEAD = ("RULE", "COUNTED AS", "REMAINING", "OF", "MORE IN")

of_application = click.option(
    "--prefix",
    default="",
    callback=lambda context, option, text: keys.prefix_of(text),
    help="Of another application: its name, or the key_prefix of its Door; Spigot's own web.",
)
"""The option of all commands about clients."""

RULE_HEAD = ("RULE", "LIMIT", "MATCH", "KEY", "COST", "MODE", "ON ERROR")


@proposing
def banned_clients() -> Iterator[CompletionItem]:
    """Propose who is banned from Spigot's own web."""
    yield from map(CompletionItem, bans.banned(_server(load_settings())))


@proposing
def refused_clients() -> Iterator[CompletionItem]:
    """Propose who was refused most in the last hour at Spigot's own web."""
    refused = most_refused(_server(load_settings()), MOST_PROPOSED)
    yield from (CompletionItem(name) for name in dict.fromkeys(each.client for each in refused))


@click.group(cls=CommandGroup, epilog="Example: spigot limits top")
def limits() -> None:
    """See the rate limits at the door; reset, ban and unban clients.

    A CLIENT is an IP address (an IPv6 address stands for its prefix) or header:NAME=VALUE.
    Clients of another application with a Door are found by --prefix, under the rules of the file
    that SPIGOT_RATE_LIMITS names.
    """


@limits.command(name="list", epilog="Example: spigot limits list --json")
@as_json
def list_rules(as_json: bool) -> None:
    """List the rules."""
    rules = _rules_of(load_settings()).by_name.values()
    if as_json:
        print_json({"rules": [rule.to_json() for rule in rules]})
    else:
        print_table(RULE_HEAD, [_rule_row(rule) for rule in rules], elastic={0, 1, 2, 3})


@limits.command(epilog="Example: spigot limits check rate_limits.json")
@click.argument("file", type=click.Path(path_type=Path))
@as_json
def check(file: Path, as_json: bool) -> None:
    """Check that the rules of FILE can be used."""
    names = list(read_rules(file).by_name)
    if as_json:
        print_json({"file": str(file), "rules": names})
    else:
        click.echo(f"{file}: {count_text(len(names), 'rule')} can be used")


@limits.command(epilog="Example: spigot limits show 192.0.2.7")
@click.argument("client", shell_complete=refused_clients)
@of_application
@as_json
def show(client: str, prefix: str, as_json: bool) -> None:
    """Show what CLIENT has left, and whether it is banned."""
    settings = load_settings()
    name, redis = _name(client, settings), _server(settings)
    rules = _rules_of(settings)
    states = [_state_row(each) for each in client_states.states(redis, rules, name, prefix)]
    about = {"client": name, "banned_until_at": _time_text(bans.banned(redis, prefix).get(name))}
    if as_json:
        print_json({**about, "rules": states})
    else:
        print_fields(about)
        print_table(STATE_HEAD, [_shown(each) for each in states], elastic={0, 1})


@limits.command(epilog="Example: spigot limits reset 192.0.2.7")
@click.argument("client", shell_complete=refused_clients)
@of_application
@as_json
def reset(client: str, prefix: str, as_json: bool) -> None:
    """Give CLIENT back what it has spent of every rule."""
    settings = load_settings()
    name = _name(client, settings)
    rules = _rules_of(settings)
    count = client_states.reset(_server(settings), rules, name, prefix)
    told = count_text(count, "limit is", "limits are")
    _tell({"client": name, "reset": count}, f"{name}: {told} as new", as_json)


@limits.command(epilog="Example: spigot limits ban 192.0.2.7 --for 30m")
@click.argument("client", shell_complete=refused_clients)
@click.option("--for", "duration", default="1h", help="Such as 90s, 30m or 7d; 1h.")
@of_application
@as_json
def ban(client: str, duration: str, prefix: str, as_json: bool) -> None:
    """Shut CLIENT out for a while."""
    settings = load_settings()
    name = _name(client, settings)
    _check_that_a_ban_acts(name, settings)
    until = _time_text(bans.ban(_server(settings), name, _seconds(duration), prefix))
    _tell({"client": name, "banned_until_at": until}, f"{name} is banned until {until}", as_json)


@limits.command(epilog="Example: spigot limits unban 192.0.2.7")
@click.argument("client", shell_complete=banned_clients)
@of_application
@as_json
def unban(client: str, prefix: str, as_json: bool) -> None:
    """Let CLIENT in again before its ban ends."""
    settings = load_settings()
    name = _name(client, settings)
    was_banned = bans.unban(_server(settings), name, prefix)
    text = f"{name} is no longer banned" if was_banned else f"{name} was not banned"
    _tell({"client": name, "was_banned": was_banned}, text, as_json)


@limits.command(name="bans", epilog="Example: spigot limits bans --json")
@of_application
@as_json
def list_bans(prefix: str, as_json: bool) -> None:
    """List who is banned, and until when."""
    until = {
        name: _time_text(end) for name, end in bans.banned(_server(load_settings()), prefix).items()
    }
    if as_json:
        print_json({"bans": [{"client": n, "banned_until_at": at} for n, at in until.items()]})
    else:
        rows = [(client, from_now(end)) for client, end in until.items()]
        print_table(("CLIENT", "BAN ENDS"), rows, elastic={0})


@limits.command(epilog="Example: spigot limits top --count 5")
@click.option("--count", type=WholeNumber(1, 1000), default=10, help="How many; 10.")
@of_application
@as_json
def top(count: int, prefix: str, as_json: bool) -> None:
    """Show who was refused most in the last hour, and by which rule."""
    refused = [asdict(each) for each in most_refused(_server(load_settings()), count, prefix)]
    if as_json:
        print_json({"refused": refused})
    else:
        rows = [tuple(each.values()) for each in refused]
        print_table(("CLIENT", "RULE", "REFUSED"), rows, elastic={0, 1})


def _server(settings: Settings) -> Redis:
    url = settings.limits_redis_url or find_server_url(settings)
    return connect(url, timeout=COMMAND_REPLY_SECONDS)


def _seconds(duration: str) -> int:
    try:
        return parse_duration(duration)
    except ValueError as error:
        raise OperatorError(f"--for: {error}") from error


def _name(client: str, settings: Settings) -> str:
    try:
        return GLOBAL if client == GLOBAL else parse_client(client, settings.ipv6_prefix)
    except ValueError as error:
        raise OperatorError(str(error)) from error


def _rules_of(settings: Settings) -> Rules:
    return read_rules(settings.rate_limits, optional=settings.is_unset("rate_limits"))


def _check_that_a_ban_acts(name: str, settings: Settings) -> None:
    key = name.partition("=")[0]
    if name == GLOBAL:
        raise OperatorError("all clients together cannot be banned")
    if "=" in name and key not in _rules_of(settings).headers:
        raise OperatorError(
            f"a ban of {name} would not act: no rule in {settings.rate_limits} counts by {key}"
        )


def _tell(facts: dict[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        print_json(facts)
    else:
        click.echo(text)


def _rule_row(rule: Rule) -> tuple[Any, ...]:
    shown = rule.to_json()
    match = ", ".join(shown["match"]) or ("all others" if rule.name == DEFAULT else "by name")
    return (
        rule.name,
        _limit_text(rule.limit.numbers),
        match,
        ", ".join(rule.counted_by),
        rule.cost,
        shown["mode"],
        rule.on_error,
    )


def _limit_text(numbers: Mapping[str, Any]) -> str:
    if "window" in numbers:
        return f"{numbers['limit']} in {numbers['window']} s"
    return f"{numbers['capacity']}, {numbers['refill_rate']}/s"


def _state_row(state: RuleState) -> dict[str, Any]:
    more_in_us = state.more_in_us
    return {
        "rule": state.check.rule.name,
        "counted_as": state.check.client,
        "remaining": state.remaining,
        "quota": state.check.rule.limit.quota,
        "more_in": None if more_in_us is None else more_in_us / 1_000_000,
    }


def _shown(state: dict[str, Any]) -> list[Any]:
    more_in = state["more_in"]
    return [*list(state.values())[:-1], None if more_in is None else f"{more_in:.3g} s"]


def _time_text(time: float | None) -> str | None:
    return None if time is None else utc_text(int(time * 1_000_000), digits="seconds")
