"""Applications of one process share what werkzeug compiles for each of their routes."""

from typing import Any

from werkzeug.routing.rules import Rule


def share_route_builders() -> None:
    """Compile the builder of a URL once for all applications that have the route.

    A test process makes hundreds of applications with the same fifty routes, and half of what one
    takes is the compiler. A builder knows only the text of its route: what it needs of the
    application it is given with each call.
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
