"""Gateway: a rate limiter in front of any application, here one of three routes without jobs.

    flask --app spigot.examples.gateway run --port 8080

All instances that use one server share the limits, on however many machines they run.
"""

from pathlib import Path

from flask import Flask
from flask.typing import ResponseReturnValue

from spigot import Door, rate_limit

RULES = Path(__file__).with_name("gateway_limits.json")


def create_app() -> Flask:
    """Build the application, with the door in front of it."""
    app = Flask(__name__)
    Door(app, rules=RULES, key_prefix="gateway:")

    @app.get("/")
    def index() -> ResponseReturnValue:
        """Answer under the rule ``default``, which no view needs to ask for."""
        return {"message": "20 requests at once, then 5 a second"}

    @app.get("/special_path")
    @rate_limit("special_path")
    def special_path() -> ResponseReturnValue:
        """Answer under the rule that the view names."""
        return {"message": "50 requests at once, then 10 a second"}

    @app.get("/livez")
    def livez() -> ResponseReturnValue:
        """Answer without a limit: the door lets the questions of orchestrators pass."""
        return {"status": "ok"}

    return app
