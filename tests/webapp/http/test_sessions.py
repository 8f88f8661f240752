import pytest

from spigot.webapp.http.sessions import LINK_SECONDS, SESSION_SECONDS, Sessions
from tests.support.redis_content import content


@pytest.fixture
def sessions(redis):
    return Sessions(redis, "secret")


def test_a_link_begins_one_session(sessions):
    link = sessions.make_link()
    assert sessions.is_link(link)

    token = sessions.begin(link)

    assert sessions.is_session(token)
    assert token != link
    assert not sessions.is_link(link)
    assert sessions.begin(link) is None


def test_looking_at_a_link_does_not_spend_it(sessions):
    link = sessions.make_link()

    assert all(sessions.is_link(link) for _ in range(3))
    assert sessions.begin(link)


@pytest.mark.parametrize("text", ["", "x", "../", "A" * 22, "A" * 21 + "é", "A" * 1_000_000])
def test_what_was_never_given_out_is_neither_a_link_nor_a_session(sessions, text):
    sessions.begin(sessions.make_link())

    assert not sessions.is_link(text)
    assert sessions.begin(text) is None
    assert not sessions.is_session(text)


def test_one_kind_of_token_does_not_stand_for_the_other(sessions):
    link = sessions.make_link()
    token = sessions.begin(sessions.make_link())

    assert not sessions.is_session(link)
    assert sessions.begin(token) is None


def test_an_ended_session_is_none_and_others_go_on(sessions):
    ended, other = (sessions.begin(sessions.make_link()) for _ in range(2))

    sessions.end(ended)

    assert not sessions.is_session(ended)
    assert sessions.is_session(other)


def test_another_password_ends_sessions_and_links(sessions, redis):
    link, token = sessions.make_link(), sessions.begin(sessions.make_link())

    changed = Sessions(redis, "another")

    assert not changed.is_session(token)
    assert changed.begin(link) is None


def test_links_and_sessions_expire(sessions, redis):
    sessions.make_link()
    sessions.begin(sessions.make_link())

    left = {key.split(b":")[2]: redis.ttl(key) for key in redis.keys("spigot:1:*")}

    assert LINK_SECONDS - 5 < left[b"login_link"] <= LINK_SECONDS == 60
    assert SESSION_SECONDS - 5 < left[b"session"] <= SESSION_SECONDS == 12 * 3600


def test_whoever_reads_the_server_finds_no_token(sessions, redis):
    link = sessions.make_link()
    token = sessions.begin(sessions.make_link())

    kept = str(content(redis))

    assert link not in kept
    assert token not in kept
    assert "secret" not in kept


def test_forms_of_two_sessions_are_bound_to_different_texts(sessions, redis):
    one, other = (sessions.begin(sessions.make_link()) for _ in range(2))

    assert sessions.binding(one) == sessions.binding(one)
    assert len({sessions.binding(one), sessions.binding(other), one, other}) == 4
    assert not any(sessions.binding(one).encode() in key for key in redis.keys("*"))
