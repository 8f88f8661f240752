"""Says in words what is wrong with a server, from the error that it was met with."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from redis.exceptions import (
    InvalidResponse,
    NoPermissionError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from .sentinel_primary import PrimaryUnknownError

OLDEST_VERSION = (6, 2)
"""Of Redis; all Valkeys are newer."""


@dataclass(frozen=True, slots=True)
class ServerFault:
    """What is wrong.

    Attributes:
        detail: Follows the server's URL in a sentence.
        mend: What to do.
    """

    detail: str
    mend: str

    def __str__(self) -> str:
        return f"{self.detail}; {self.mend}"


NOT_ALLOWED = re.compile(
    r"no permissions to (?:run the '(?P<command>[^']+)' command|access (?:a|the|one of the) "
    r"(?:'[^']*' )?(?P<kind>key|channel))",
    re.IGNORECASE,
)

KNOWN = (
    # what redis-py's error says, what that means, what to do
    (
        r"WRONG_VERSION_NUMBER|RECORD_LAYER|record layer failure|UNEXPECTED_EOF|packet length",
        "speaks no TLS there",
        "write redis:// instead of rediss://, or give the port of TLS",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED",
        "shows a certificate that is not trusted",
        "name its authority with ?ssl_ca_certs=FILE, and the host as in the certificate",
    ),
    (
        r"CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE|\[SSL",
        "refuses the TLS connection",
        "look at the options ssl_certfile, ssl_keyfile and ssl_ca_certs of the URL",
    ),
    (
        r"NOAUTH|HELLO must be called with|Authentication required",
        "wants a password",
        "write it into the URL, redis://USER:PASSWORD@HOST",
    ),
    (
        r"WRONGPASS|invalid username-password|invalid password|user is disabled",
        "refuses user or password",
        "set the right ones in the URL, percent-encoded",
    ),
    (r"No such (master|primary)", "knows no primary of that name", "write the name that it knows"),
    (r"unknown command.*SENTINEL", "is no sentinel", "write redis://, or give a sentinel's port"),
    (r"DB index|invalid DB", "has no database of that number", "name a smaller one in the URL"),
    (
        r"read only replica|READONLY",
        "is a replica and takes no writes",
        "set the URL of its primary",
    ),
    (r"MASTERDOWN|Link with MASTER", "is a replica", "set the URL of its primary"),
    (r"NOREPLICAS", "lacks the replicas without which it takes no writes", "start them"),
    (r"LOADING|loading the dataset", "is loading its data", "wait until it has done so"),
    (r"MISCONF", "cannot write its files and takes no jobs", "look at its disk and its log"),
    (
        r"closed by server|closed the connection|reset by peer",
        "closes the connection at once",
        "see whether it wants TLS (rediss://), and its log",
    ),
    (r"OOM|maxmemory", "has no memory left", "give it more memory"),
    (r"\bBUSY\b", "runs a script that does not end", "end it with SCRIPT KILL"),
    (r"max number of clients", "takes no more connections", "raise its maxclients"),
    (
        r"onnection refused",
        "does not answer: nobody listens there",
        "start it, or set the right URL",
    ),
    (
        r"Name or service|name resolution|nodename|No address associated",
        "does not answer: nobody knows its host",
        "set the right URL",
    ),
    (r"No such file", "does not answer: there is no such file", "start it, or set the right URL"),
    (r"Permission denied", "has a socket that this user may not open", "change its owner or mode"),
)


def is_denied(error: BaseException) -> bool:
    """Return whether ``error`` says that the user lacks a right, in a script too."""
    return isinstance(error, NoPermissionError) or (
        isinstance(error, ResponseError) and bool(NOT_ALLOWED.search(str(error)))
    )


def explain(error: RedisError) -> ServerFault:
    """Return what an error of the server or of the connection means."""
    text = str(error)
    if is_denied(error):
        denied = NOT_ALLOWED.search(text)
        what = _denied_right(denied) if denied else text
        return ServerFault(f"lets this user not {what}", "docs/security.md lists its rights")
    if isinstance(error, PrimaryUnknownError):
        return _unknown_primary(error)
    for pattern, detail, mend in KNOWN:
        if re.search(pattern, text):
            return ServerFault(detail, mend)
    if isinstance(error, InvalidResponse):
        return ServerFault(
            "is no Redis server, or wants TLS", "set the right URL; rediss:// is with TLS"
        )
    if isinstance(error, TimeoutError):
        return ServerFault(
            "does not answer in time", "see whether it hangs, or a firewall is in between"
        )
    if isinstance(error, ResponseError):
        return _refusal(text)
    return ServerFault(f"does not answer: {text}", "start it, or set the right URL")


def too_old(commands: Collection[str]) -> ServerFault:
    """Return the fault of a server that does not know these commands."""
    if "SET" in map(str.upper, commands):
        return ServerFault(
            "does not know SET: it may be a sentinel", "write sentinel://HOST:PORT/NAME/DB"
        )
    return ServerFault(
        f"does not know {', '.join(commands).upper()}: it is too old",
        f"use Redis {'.'.join(map(str, OLDEST_VERSION))} or newer, or Valkey",
    )


def _unknown_primary(error: PrimaryUnknownError) -> ServerFault:
    said = [f"{sentinel} {explain(one).detail}" for sentinel, one in error.problems.items()]
    return ServerFault(
        f"has no primary: the sentinel {', '.join(said)}",
        "see whether the sentinels run, and know that name and this password",
    )


def _refusal(text: str) -> ServerFault:
    unknown = re.search(r"unknown (?:sub)?command\W+([\w|]+)", text, re.IGNORECASE)
    if unknown:
        return too_old([unknown[1]])
    return ServerFault(f"refuses: {text}", "see what `spigot doctor` says")


def _denied_right(denied: re.Match[str]) -> str:
    if denied["command"]:
        return f"run the command {denied['command'].upper()}"
    return "use the keys of Spigot" if denied["kind"] == "key" else "use the channels of Spigot"
