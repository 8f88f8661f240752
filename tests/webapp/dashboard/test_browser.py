"""The dashboard as the admin's browser shows it, with real workers behind it."""

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.store import keys
from tests.support.browser import DEADLINE_SECONDS, chromium
from tests.support.fleet import Fleet
from tests.support.processes import wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

ATTACK = "<img src=x onerror=window.attacked=1><script>window.attacked=1<!-- "


@pytest.fixture(scope="module")
def fleet(redis_url, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboard")
    return Fleet(redis_url, folder, settings={"SPIGOT_ADMIN_PASSWORD": "secret"})


@pytest.fixture(scope="module")
def web(fleet):
    with fleet.web() as web:
        yield web


@pytest.fixture(scope="module")
def window(web, tmp_path_factory):
    with chromium(f"http://{web.host}:{web.port}", tmp_path_factory.mktemp("chromium")) as browser:
        browser.log_in("/rq/")
        yield browser


@pytest.fixture
def browser(window, redis):
    """The window, and in the end a look at what it complained of."""
    window.complaints()
    yield window
    assert window.run("return window.attacked") is None
    assert window.complaints() == []
    window.driver.get("about:blank")  # else it asks for jobs that are gone when the next test runs


@pytest.fixture
def queue(redis_url):
    with Redis.from_url(redis_url) as own:
        yield Queue("default", connection=own, serializer=JSONSerializer)


def submit(web, type="echo", **payload):
    status, job = web.ask("POST", "/jobs", {"type": type, "payload": payload})
    assert status == 202, job
    return job["id"]


def status(web, job_id):
    return web.ask("GET", f"/jobs/{job_id}")[1]["status"]


def press(browser, selector):
    """Press a button and agree that it is meant."""
    # while it fades in, Bootstrap ignores that it is to be hidden
    browser.run("document.querySelector('#confirmation-modal').classList.remove('fade')")
    browser.click(selector)
    browser.click("#confirmation-modal.show #confirmation-modal-yes")
    browser.wait_for(lambda: not browser.all("#confirmation-modal.show, .modal-backdrop"), "modal")


def job_ids(browser):
    script = "return [...document.querySelectorAll('#jobs .job_id')].map(e => e.innerText)"
    return browser.run(script)


def test_all_pages_are_shown(browser, web, fleet, redis):
    waiting = submit(web)
    for path, text in [
        ("/rq/", "default"),
        ("/rq/0/view/workers", "No workers"),
        ("/rq/0/view/jobs", waiting),
        (f"/rq/0/view/job/{waiting}", "queued"),
        *(
            (f"/rq/0/view/jobs/default/{place}/8/dsc/1", "No jobs.")
            for place in ("scheduled", "deferred", "started", "finished", "failed", "canceled")
        ),
    ]:
        browser.open(path)
        browser.wait_for_text(text)


def test_running_and_finished_jobs_are_shown(browser, web, fleet):
    running = submit(web, "nap", seconds=600)
    with fleet.workers():
        wait_for(lambda: status(web, running) == "started", DEADLINE_SECONDS)
        browser.open("/rq/0/view/workers")
        browser.wait_for_text("nap", "#workers")
        assert browser.attribute("#workers a", "href").endswith(running)
        browser.open("/rq/0/view/jobs/default/started/8/asc/1")
        browser.wait_for_text(running, "#jobs")

        press(browser, "[data-role=delete-job-btn]")

        wait_for(lambda: status(web, running) == "cancelled", DEADLINE_SECONDS)
        finished = submit(web, text="said")
        wait_for(lambda: status(web, finished) == "finished", DEADLINE_SECONDS)
    browser.open(f"/rq/0/view/job/{finished}")
    browser.wait_for_text('"said"', "#job-data")


def test_a_job_with_dependencies_is_shown_with_links_to_them(browser, queue):
    parent = queue.enqueue(print)
    child = queue.enqueue(print, depends_on=parent)

    browser.open(f"/rq/0/view/job/{child.id}")

    browser.wait_for_text(parent.id, "#job-data a")


def test_a_strangers_text_is_shown_and_not_run(browser, web, fleet, queue):
    failed = submit(web, "fall", name=ATTACK, times=9)
    with fleet.workers():
        wait_for(lambda: status(web, failed) == "failed", DEADLINE_SECONDS)
    plain = queue.enqueue(print, ATTACK, description=ATTACK, meta={"text": ATTACK})

    for path in (f"job/{failed}", "jobs/default/failed/8/asc/1", f"job/{plain.id}", "jobs"):
        browser.open(f"/rq/0/view/{path}")
        browser.wait_for_text("<img src=x onerror=window.attacked=1>")


def test_a_script_that_got_into_a_page_is_not_run(browser):
    browser.open("/rq/")
    browser.wait_for_text("No queues.")
    put_in = """
        document.body.insertAdjacentHTML('beforeend', '<img src="data:," onerror="attacked=1">');
        const script = document.createElement('script');
        script.text = 'window.attacked = 1';
        document.body.append(script);
    """

    browser.run(put_in)

    told = []
    browser.wait_for(lambda: told.extend(browser.complaints()) or len(told) == 2, "two refusals")
    assert all("Content Security Policy" in text for text in told)


def test_the_pages_are_turned(browser, web, redis):
    redis.delete(keys.queue("default"))
    ids = [submit(web, text=str(number)) for number in range(20)]

    browser.open("/rq/0/view/jobs/default/queued/8/asc/1")
    browser.wait_for(lambda: job_ids(browser) == ids[:8], "the first page")
    browser.click(".pagination li:nth-last-child(2) a")  # the next one
    browser.wait_for(lambda: job_ids(browser) == ids[8:16], "the second page")
    browser.click(".pagination li:last-child a")
    browser.wait_for(lambda: job_ids(browser) == ids[16:], "the last page")


def test_failed_jobs_are_requeued_one_by_one_and_together(browser, web, fleet, redis):
    ids = [submit(web, "fall", name=f"n{number}", times=9) for number in range(3)]
    with fleet.workers(2):
        wait_for(
            lambda: [status(web, job_id) for job_id in ids] == ["failed"] * 3, DEADLINE_SECONDS
        )

    browser.open("/rq/0/view/jobs/default/failed/8/asc/1")
    browser.click("[data-role=requeue-job-btn]")
    wait_for(lambda: redis.llen(keys.queue("default")) == 1, DEADLINE_SECONDS)
    press(browser, "#requeue-all-btn")

    wait_for(lambda: [status(web, job_id) for job_id in ids] == ["queued"] * 3, DEADLINE_SECONDS)


def test_a_queue_is_emptied(browser, web):
    ids = [submit(web) for _ in range(3)]
    browser.open("/rq/0/view/jobs")
    browser.wait_for_text(ids[0], "#jobs")

    press(browser, "#empty-btn")

    browser.wait_for_text("No jobs.", "#jobs")
    assert [status(web, job_id) for job_id in ids] == ["cancelled"] * 3


def test_why_a_button_failed_is_said(browser, web, queue):
    job = queue.enqueue(print)
    browser.open(f"/rq/0/view/job/{job.id}")
    browser.wait_for_text("queued", "#job-data")
    job.delete()

    press(browser, "#delete-job-btn")

    browser.wait_for_text(f"there is no job '{job.id}'", ".alert-danger")
    assert all("404" in text for text in browser.complaints())  # which Chromium writes itself
