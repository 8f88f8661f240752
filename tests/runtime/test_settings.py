from ipaddress import ip_network
from pathlib import Path

import pytest

from spigot.runtime.settings import Settings, SettingsError, load_settings, variable_name


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no .env
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)


def test_the_defaults_are_those_of_the_interface():
    settings = load_settings()

    assert settings.redis_url is None
    assert settings.limits_redis_url is None
    assert settings.data_dir == Path("data")
    assert settings.result_log_path == Path("data/results.jsonl")
    assert settings.apps == ("spigot.examples",)
    assert settings.rate_limits == Path("rate_limits.json")
    assert settings.buckets == Path("buckets.json")
    assert settings.trusted_proxies == ()
    assert settings.ipv6_prefix == 64
    assert settings.admin_password is None
    assert settings.door_deadline == 0.1
    assert settings.keep_seconds == 86400
    assert (settings.lease_seconds, settings.max_reaps, settings.grace_seconds) == (15, 3, 8)
    assert (settings.web_processes, settings.web_threads) == (2, 64)
    assert settings.max_body_bytes == 262144
    assert settings.log_format == "auto"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("REDIS_URL", "redis://localhost:6379/3", "redis_url", "redis://localhost:6379/3"),
        ("SPIGOT_APPS", "shop, shop.mail,", "apps", ("shop", "shop.mail")),
        (
            "SPIGOT_TRUSTED_PROXIES",
            "10.0.0.0/8, ::1/128",
            "trusted_proxies",
            (ip_network("10.0.0.0/8"), ip_network("::1/128")),
        ),
        ("SPIGOT_RESULT_LOG", "/var/log/x.jsonl", "result_log_path", Path("/var/log/x.jsonl")),
        ("SPIGOT_KEEP_SECONDS", "60", "keep_seconds", 60),
        ("SPIGOT_ADMIN_PASSWORD", "s3cret", "admin_password", "s3cret"),
        ("HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("PORT", "0", "port", 0),
    ],
)
def test_a_variable_sets_its_field(monkeypatch, variable, value, field, expected):
    monkeypatch.setenv(variable, value)

    assert getattr(load_settings(), field) == expected


@pytest.mark.parametrize("place", ["environment", ".env"])
@pytest.mark.parametrize("prefix", ["SPIGOT_", "spigot_"])
def test_only_the_documented_names_count(monkeypatch, tmp_path, place, prefix):
    address = "tcp://10.0.0.1:8000"  # as Kubernetes sets it for a service named spigot
    names = [f"{prefix}{name}" for name in ("PORT", "HOST", "REDIS_URL")]
    if place == ".env":
        (tmp_path / ".env").write_text("".join(f"{name}={address}\n" for name in names))
    else:
        for name in names:
            monkeypatch.setenv(name, address)

    settings = load_settings()

    assert (settings.port, settings.host, settings.redis_url) == (8000, "127.0.0.1", None)


def test_an_empty_variable_is_no_value(monkeypatch):
    monkeypatch.setenv("SPIGOT_ADMIN_PASSWORD", "")
    monkeypatch.setenv("REDIS_URL", "")

    assert load_settings().admin_password is None
    assert load_settings().redis_url is None


def test_the_env_file_is_read_and_the_environment_wins(monkeypatch, tmp_path):
    (tmp_path / ".env").write_text("PORT=1111\nSPIGOT_MAX_REAPS=7\nUNKNOWN=1\n")
    monkeypatch.setenv("PORT", "2222")

    assert (load_settings().port, load_settings().max_reaps) == (2222, 7)


def test_an_argument_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("PORT", "1111")

    assert load_settings(port=2222).port == 2222


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("PORT", "http", "integer"),
        ("PORT", "70000", "65535"),
        ("SPIGOT_IPV6_PREFIX", "129", "128"),
        ("SPIGOT_KEEP_SECONDS", "0", "greater than 0"),
        ("SPIGOT_LEASE_SECONDS", "0.5", "greater than or equal to 1"),
        ("SPIGOT_DOOR_DEADLINE", "-1", "greater than 0"),
        ("SPIGOT_GRACE_SECONDS", "-1", "greater than or equal to 0"),
        ("SPIGOT_LOG_FORMAT", "xml", "'auto', 'text' or 'json'"),
        ("SPIGOT_TRUSTED_PROXIES", "10.0.0.0/8,proxy", "network"),
        ("SPIGOT_MAX_BODY_BYTES", "1k", "integer"),
    ],
)
def test_a_wrong_value_names_variable_value_and_what_is_allowed(
    monkeypatch, variable, value, allowed
):
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as raised:
        load_settings()

    message = str(raised.value)
    assert message.startswith(f"{variable}=")
    assert value.split(",")[-1] in message
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("variable", ["REDIS_URL", "SPIGOT_LIMITS_REDIS_URL"])
def test_a_wrong_url_is_refused_without_its_password(monkeypatch, variable):
    monkeypatch.setenv(variable, "http://admin:s3cret@host")

    with pytest.raises(
        SettingsError, match=r"must begin with redis:// or rediss:// or unix://"
    ) as e:
        load_settings()

    assert str(e.value).startswith(f"{variable}=(hidden) ")
    assert "s3cret" not in str(e.value)


def test_the_password_is_never_printed(monkeypatch):
    monkeypatch.setenv("SPIGOT_ADMIN_PASSWORD", "s3cret")
    monkeypatch.setenv("REDIS_URL", "redis://:s3cret@localhost")

    assert "s3cret" not in repr(load_settings())
    assert "s3cret" not in str(load_settings())


def test_every_field_is_documented():
    assert all(field.description for field in Settings.model_fields.values())


def test_settings_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1


@pytest.mark.parametrize("value", ["examples", "examples.documents", "shop,examples"])
def test_the_examples_have_one_name_only(monkeypatch, tmp_path, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPIGOT_APPS", value)

    with pytest.raises(SettingsError, match=r"SPIGOT_APPS=.*the examples of Spigot are spigot\.ex"):
        load_settings()


def test_examples_of_ones_own_may_have_that_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPIGOT_APPS", "examples")
    (tmp_path / "examples").mkdir()

    assert load_settings().apps == ("examples",)


def test_the_link_at_the_root_is_no_module_of_ones_own(monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setenv("SPIGOT_APPS", "examples")

    with pytest.raises(SettingsError, match=r"spigot\.examples"):
        load_settings()
