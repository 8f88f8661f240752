"""Products: an API with rate limits, of which one action has its own.

The products are kept in the server that keeps the jobs, and survive a restart like those.
``/api/status``, ``/metrics`` and ``/docs`` are Spigot's own.
"""

from typing import Annotated, cast

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, StringConstraints
from redis import Redis

from spigot import rate_limit, read_model

KEY = "examples:products"
"""List: one product each, as JSON, in the order they came; its id is its place, from 1."""

blueprint = Blueprint("products", __name__, url_prefix="/api")


class Product(BaseModel):
    """What is sold."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    price: Annotated[FiniteFloat, Field(gt=0)]


@blueprint.post("/products")
def create() -> ResponseReturnValue:
    """Keep one product; appending tells its place, so that no two get the same id."""
    product = read_model(Product)
    place = _redis().rpush(KEY, product.model_dump_json())
    return {"id": place, **product.model_dump()}, 201


@blueprint.get("/products")
def index() -> ResponseReturnValue:
    """Show all products, the first one first."""
    kept = cast(list[bytes], _redis().lrange(KEY, 0, -1))
    products = (Product.model_validate_json(text).model_dump() for text in kept)
    return {"products": [{"id": place, **each} for place, each in enumerate(products, start=1)]}


@blueprint.post("/protected-action")
@rate_limit("protected-action")
def protected_action() -> ResponseReturnValue:
    """Do what a client may do five times at once, and then once every ten seconds."""
    return {"message": "the action is done"}


def _redis() -> Redis:
    redis: Redis = current_app.extensions["redis"]
    return redis
