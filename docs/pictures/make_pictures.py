"""Makes the pictures of the pages that stand in README and docs.

Run it from the repository: ``python docs/pictures/make_pictures.py``. It starts ``spigot up`` with
five buckets in a folder of its own, sends jobs, and opens the pages in a headless Chromium. The
half hour before the start is made up, and written as ``leak.lua`` would have written it.
"""

import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

HERE = Path(__file__).parent
CELLS, CELL_SECONDS, CELL_BYTES = 360, 5, 47

APP = """
import time
from spigot import RateLimited, job_type, report_progress

@job_type("summary", bucket="openai")
def summary(doc_id: str) -> dict:
    for page in range(20):
        time.sleep(1)
        report_progress(page + 1, 20, f"page {page + 1} of 20")
    return {"doc_id": doc_id}

@job_type("invoice", bucket="documents")
def invoice(number: str) -> dict:
    time.sleep(0.2)
    invoice = {"lines": []}
    return {"total": invoice["total"]} if number.endswith("7") else {}

@job_type("sync", bucket="partner")
def sync(account: str) -> None:
    raise RateLimited(300)

@job_type("mail", bucket="mail")
def mail(to: str) -> None:
    return None
"""

BUCKETS = {
    "openai": {"rate": "60/m", "capacity": 50, "max_running": 3, "workers": 3},
    "documents": {"rate": "2/s", "capacity": 200, "workers": 1},
    "partner": {"rate": "1/s", "capacity": 10, "workers": 1},
    "mail": {"rate": "2/s", "capacity": 40, "workers": 1},
    "default": {"rate": "10/s", "workers": 1},
}

Cell = tuple[int, int, int, int]
"""Starts, waiting jobs, interval in us, and why nothing starts, as ``history.lua`` has it."""

PAST: dict[str, Callable[[int], Cell | None]] = {
    "openai": lambda n: (
        (5, 8 + n % 3, 10**6, 0)
        if n < 160
        else (random.choice([0, 1, 1, 1]), min(47, 8 + (n - 160) // 5), 10**6, 0)
    ),
    "documents": lambda n: (
        (5, n // 4, 10**6, 0) if n < 215 else (10, max(0, 54 - (n - 215) // 6), 5 * 10**5, 0)
    ),
    "partner": lambda n: (random.choice([3, 4, 5]), random.choice([0, 1, 2]), 10**6, 0),
    "mail": lambda n: (
        (random.choice([0, 1, 2]), 0, 5 * 10**5, 0)
        if n < 227
        else (0, (n - 227) // 17, 5 * 10**5, 1)
    ),
    "default": lambda n: (49, max(0, 40 - n), 10**5, 0) if 90 < n < 108 else None,
}

PICTURES = [
    ("overview", "/", 1280, "light"),
    ("overview-phone", "/", 390, "dark"),
    ("job", "/jobs/{waiting}", 1280, "light"),
    ("failures", "/failures", 1280, "light"),
]


def main() -> None:
    """Make all pictures."""
    random.seed(4)
    with tempfile.TemporaryDirectory() as name, stack(Path(name)) as web:
        fill(web)
        time.sleep(20)  # jobs have ended, and a mean of their time is known
        waiting = ask(web, "/jobs?status=queued&bucket=openai")["jobs"][6]["id"]
        with chromium(web) as driver:
            for picture, path, width, scheme in PICTURES:
                take(
                    driver,
                    web + path.format(waiting=waiting),
                    HERE / f"{picture}.png",
                    width,
                    scheme,
                )


@contextmanager
def stack(folder: Path) -> Iterator[str]:
    """Run everything in a folder; its history is made up once the web answers."""
    (folder / "shop.py").write_text(APP)
    (folder / "buckets.json").write_text(json.dumps(BUCKETS))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"SPIGOT_APPS": "shop", "SPIGOT_ADMIN_PASSWORD": "secret", "PORT": str(port)}
    spigot = Path(sys.executable).with_name("spigot")
    process = subprocess.Popen(
        [spigot, "up"], cwd=folder, env={"PATH": "/usr/bin:/bin", **settings},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        web = f"http://127.0.0.1:{port}"
        wait_for(web)
        make_up_the_past((folder / "data" / "server-url").read_text())
        yield web
    finally:
        process.terminate()
        process.wait()


def wait_for(web: str) -> None:
    """Wait until the web answers."""
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{web}/readyz", timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("spigot up does not answer")


def make_up_the_past(server: str) -> None:
    """Write half an hour of each bucket."""
    url = next(word for word in server.split() if word.startswith(("redis://", "unix://")))
    now = int(time.time()) // CELL_SECONDS
    with Redis.from_url(url) as redis:
        for name, cell_at in PAST.items():
            for n in range(CELLS - 1):
                number, cell = now - CELLS + 1 + n, cell_at(n)
                if cell:
                    text = "{:9d}{:7d}{:8d}{:12d}{:11d}".format(number, *cell)
                    key = f"spigot:1:bucket:{name}"
                    redis.setrange(f"{key}:history", number % CELLS * CELL_BYTES, text)
                    if cell[0]:
                        redis.hset(key, "last_slot_us", number * CELL_SECONDS * 1_000_000)


def fill(web: str) -> None:
    """Send jobs, and pause a bucket."""
    send = [("summary", "doc_id", 45), ("sync", "account", 12), ("invoice", "number", 60)]
    ask(web, "/buckets/mail", {"paused": True}, "PATCH")
    for type_name, field, count in [*send, ("mail", "to", 8)]:
        for n in range(count):
            ask(web, "/jobs", {"type": type_name, "payload": {field: f"{field}-{n}"}}, "POST")


def ask(web: str, path: str, body: object = None, method: str = "GET") -> dict:  # type: ignore[type-arg]
    """Return what the API answers to the admin; a full bucket's refusal too."""
    request = urllib.request.Request(web + path, method=method)
    request.add_header("Authorization", f"Basic {b64encode(b'admin:secret').decode()}")
    request.add_header("Content-Type", "application/json")
    try:
        with urllib.request.urlopen(request, json.dumps(body).encode() if body else None) as answer:
            return json.load(answer)  # type: ignore[no-any-return]
    except urllib.error.HTTPError as refusal:
        return json.load(refusal)  # type: ignore[no-any-return]


@contextmanager
def chromium(web: str) -> Iterator[Chrome]:
    """Open a window of the admin."""
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{switch}")
    driver = Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.get(web.replace("http://", "http://admin:secret@") + "/admin")
        yield driver
    finally:
        driver.quit()


def take(driver: Chrome, url: str, path: Path, width: int, scheme: str) -> None:
    """Take a picture of a whole page."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(url)
    time.sleep(2.5)  # the stream has begun
    size["height"] = driver.execute_script("return document.documentElement.scrollHeight")
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.save_screenshot(str(path))


if __name__ == "__main__":
    main()
