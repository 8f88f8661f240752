import pytest

from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.app_modules import CatalogError
from spigot.runtime.settings import Settings
from tests.support.spigot_up import ROOT

JOB_TYPE = "from spigot import job_type\n\n@job_type('hello')\ndef hello() -> str: return 'hello'\n"
EXAMPLES = ("spigot.examples",)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes modules into the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPIGOT_APPS", raising=False)

    def write_modules(*names, text=JOB_TYPE):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write_modules


def chosen(**settings):
    return choose_apps(Settings(_env_file=None, **settings))


@pytest.mark.parametrize("name", ["jobs.py", "jobs/__init__.py"])
def test_the_one_module_of_the_folder_is_taken(write, caplog, name):
    write(name)

    with caplog.at_level("INFO"):
        assert chosen() == ("jobs",)

    assert caplog.messages == ["SPIGOT_APPS is not set: jobs of the current folder is used"]


@pytest.mark.parametrize("name", ["shop/mail.py", "shop/mail/__init__.py"])
def test_a_package_is_taken_for_what_its_modules_define(write, name):
    write("shop/__init__.py", text="")
    write(name)

    assert chosen() == ("shop",)


def test_several_are_not_guessed_among(write):
    write("shop.py", "mail/__init__.py", "other.py")

    with pytest.raises(CatalogError, match=r"several .* set SPIGOT_APPS .*=mail,other,shop$"):
        chosen()


def test_without_one_the_examples_are_used(write):
    write("plain.py", text="import spigot")
    write("message.py", text="job_type = 2")
    write("notes.txt", "no-module.py", "folder/tasks.py")
    write("tests/__init__.py", "test_jobs.py", "conftest.py", ".venv/__init__.py")

    assert chosen() == EXAMPLES


def test_in_a_clone_the_examples_are_used(write, monkeypatch):
    monkeypatch.chdir(ROOT)

    assert chosen() == EXAMPLES


def test_what_is_set_is_used(write):
    write("shop.py", "mail.py")

    assert chosen(apps=("mail",)) == ("mail",)
    assert chosen(apps="spigot.examples") == EXAMPLES


def test_a_file_that_is_no_text_is_no_application(write, tmp_path):
    write("shop.py")
    (tmp_path / "noise.py").write_bytes(b"spigot job_type \xff\xfe")

    assert chosen() == ("shop",)
