import pytest

from spigot.runtime.origin import parse_origin
from spigot.runtime.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example", "https://app.example"),
        ("https://app.example:8443", "https://app.example:8443"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://127.0.0.1:08080", "http://127.0.0.1:8080"),
        ("http://[2001:DB8:0::1]:3000", "http://[2001:db8::1]:3000"),
        ("https://xn--lden-loa.example", "https://xn--lden-loa.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ],
)
def test_an_origin_is_read_as_browsers_write_it(text, origin):
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "null",
        "app.example",
        "//app.example",
        "https:app.example",
        "https://",
        "https://*",
        "https://*.example",
        "https://app.example/",
        "https://app.example/path",
        "https://app.example?a",
        "https://app.example#a",
        "https://user@app.example",
        "https://app.example:",
        "https://app.example:0",
        "https://app.example:65536",
        "https://app.example:port",
        "https://a b.example",
        "https://läden.example",
        "https://-app.example",
        "https://[::1",
        "https://[::g]",
        "https://[1:2]",
        "https://app.example https://other.example",
        "https://app.example\r\nSet-Cookie: a=b",
        "file:///home/page.html",
    ],
)
def test_what_is_no_origin_is_refused_in_one_line(monkeypatch, tmp_path, text):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPIGOT_CORS_ORIGINS", f"https://good.example,{text}")

    with pytest.raises(
        SettingsError, match=r"SPIGOT_CORS_ORIGINS=.* is no origin: write"
    ) as caught:
        load_settings()

    assert len(str(caught.value).splitlines()) == 1
    assert repr(text) in str(caught.value)


def test_several_are_separated_by_commas(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(
        "SPIGOT_CORS_ORIGINS", " https://a.example, http://b.example:81,https://A.example,"
    )

    assert load_settings().cors_origins == ("https://a.example", "http://b.example:81")
