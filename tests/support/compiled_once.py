"""Applications and connections of one process share what is made anew for each of them.

A test process makes hundreds of applications with the same fifty routes and the same pages, and
most of what one takes is the compiler. It makes thousands of connections to its server, and most
of what one takes is redis-py, which looks up its own version. It makes dozens of documents of the
API, and most of what one takes is pydantic.
"""

from functools import cache
from typing import Any

from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from redis import utils
from werkzeug.routing.rules import Rule

from spigot.webapp.api_docs import schemas


def share_route_builders() -> None:
    """Compile the builder of a URL once for all applications that have the route.

    A builder knows only the text of its route: what it needs of the application it is given with
    each call.
    """
    compile_builder = Rule._compile_builder
    made: dict[Any, Any] = {}

    def shared(rule: Rule, append_unknown: bool = True) -> Any:
        if rule.defaults:
            return compile_builder(rule, append_unknown)
        key = rule.rule, tuple(rule._trace), append_unknown
        if key not in made:
            made[key] = compile_builder(rule, append_unknown)
        return made[key]

    Rule._compile_builder = shared  # type: ignore[method-assign]


def share_templates() -> None:
    """Compile a template once for all applications that show it."""
    Flask.jinja_options = {**Flask.jinja_options, "bytecode_cache": _CompiledTemplates()}


def share_driver_version() -> None:
    """Look the version of redis-py up once, not for each connection."""
    utils.get_lib_version = cache(utils.get_lib_version)


def share_schemas() -> None:
    """Have pydantic describe a type once for the documents of all applications."""
    schemas._adapter = cache(schemas._adapter)


class _CompiledTemplates(BytecodeCache):
    """Keeps code by the name, file and text of its template."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.code
