"""Watch a rate limiter work: send a burst and print each answer with its headers.

python -m spigot.examples.try_limiter http://127.0.0.1:8080/ --requests 25
"""

from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from urllib.parse import SplitResult, urlsplit

import click

TOLD = (
    "RateLimit",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "Retry-After",
)
TIMEOUT_SECONDS = 10


@click.command()
@click.argument("url", default="http://127.0.0.1:8080/")
@click.option("--requests", "count", type=click.IntRange(min=1), default=25, show_default=True)
@click.option("--method", default="GET", show_default=True)
def main(url: str, count: int, method: str) -> None:
    r"""Send a burst of requests to URL and print each answer with its limit's headers.

    \b
    Example:
      python -m spigot.examples.try_limiter http://127.0.0.1:8080/special_path --requests 60
    """
    address = urlsplit(url)
    if address.scheme != "http" or not address.hostname:
        raise click.BadParameter(f"{url!r} is no address such as http://127.0.0.1:8080/")
    seen: Counter[int] = Counter()
    try:
        for number, answer in enumerate(_burst(address, count, method), start=1):
            told = [f"{name}: {answer.headers[name]}" for name in TOLD if name in answer.headers]
            click.echo("  ".join([f"{number:3}", str(answer.status), *told]))
            seen[answer.status] += 1
    except (OSError, HTTPException) as error:
        raise click.ClickException(f"{url} does not answer: {error}") from error
    click.echo(", ".join(f"{times} x {status}" for status, times in seen.items()))


def _burst(address: SplitResult, count: int, method: str) -> Iterator[HTTPResponse]:
    """Send the requests one after the other, over one connection if the server keeps it."""
    connection = HTTPConnection(address.netloc, timeout=TIMEOUT_SECONDS)
    path = address._replace(scheme="", netloc="", fragment="").geturl() or "/"
    for _ in range(count):
        connection.request(method, path)
        answer = connection.getresponse()
        answer.read()
        yield answer


if __name__ == "__main__":
    main()
