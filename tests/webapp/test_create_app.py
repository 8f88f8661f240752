import json
import sys

import pytest
from flask import Flask

from spigot import create_app
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import CatalogError
from spigot.runtime.server.server_url import NoServerError
from spigot.runtime.settings import SettingsError


def test_the_buckets_of_the_file_and_of_the_job_types_are_published(redis, settings):
    create_app(settings())

    assert redis.smembers(keys.buckets()) == {b"default", b"narrow"}
    assert redis.hget(keys.bucket("narrow"), "rate") == b"60/m burst 3"


def test_a_bucket_that_is_not_in_the_file_is_warned_of_once(redis, settings, tmp_path, caplog):
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"default": {"rate": "7/s"}}))

    create_app(settings(buckets=path))

    assert [record.message for record in caplog.records] == [
        f"bucket narrow is not in {path}: it gets the numbers of default"
    ]
    assert redis.hget(keys.bucket("narrow"), "rate") == b"7/s"


def test_nothing_is_logged_if_all_is_well(redis, settings, caplog):
    create_app(settings())

    assert caplog.records == []


def test_several_apps_live_in_one_process(redis, settings):
    first = create_app(settings(admin_password="one"))
    second = create_app(settings(admin_password="two"))

    assert first.test_client().get("/rq/", auth=("admin", "one")).status_code == 200
    assert second.test_client().get("/rq/", auth=("admin", "one")).status_code == 401


def test_a_blueprint_that_two_modules_name_is_registered_once(
    redis, settings, tmp_path, monkeypatch
):
    (tmp_path / "again_app.py").write_text("from tests.support.minimal_app import blueprint")
    monkeypatch.syspath_prepend(tmp_path)

    app = create_app(settings(apps=("tests.support.minimal_app", "again_app")))

    assert list(app.blueprints).count("sample") == 1
    del sys.modules["again_app"]


def test_what_is_named_blueprint_and_is_none_is_left_alone(redis, settings, tmp_path, monkeypatch):
    (tmp_path / "odd_app.py").write_text("blueprint = 'of a house'")
    monkeypatch.syspath_prepend(tmp_path)

    assert isinstance(create_app(settings(apps=("odd_app",))), Flask)
    del sys.modules["odd_app"]


def test_settings_come_from_the_environment(redis, redis_url, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "buckets.json").write_text("{}")
    (tmp_path / "rate_limits.json").write_text("{}")
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_APPS", "tests.support.minimal_app")

    assert create_app().test_client().get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("variable", "value", "error"),
    [
        ("PORT", "http", SettingsError),
        ("SPIGOT_APPS", "no_such_app", CatalogError),
        ("SPIGOT_BUCKETS", "nowhere.json", SettingsError),
        ("SPIGOT_RATE_LIMITS", "nowhere.json", SettingsError),
        ("REDIS_URL", "", NoServerError),
    ],
)
def test_what_must_be_mended_stops_the_start(
    redis, redis_url, monkeypatch, tmp_path, variable, value, error
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "buckets.json").write_text("{}")
    (tmp_path / "rate_limits.json").write_text("{}")
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_APPS", "tests.support.minimal_app")
    monkeypatch.setenv(variable, value)

    with pytest.raises(error):
        create_app()
