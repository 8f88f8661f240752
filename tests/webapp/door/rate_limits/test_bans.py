import time

import pytest

from spigot.webapp.door.rate_limits import bans
from spigot.webapp.door.rate_limits.decision import Verdict
from tests.support.clocked_limiter import SECOND, START, ClockedLimiter
from tests.support.key_lifetimes import goes_at_ms


def test_a_ban_ends_when_it_was_said_to(redis):
    ends = bans.ban(redis, "192.0.2.1", 60)

    assert ends == pytest.approx(time.time() + 60, abs=5)
    assert bans.banned(redis) == {"192.0.2.1": ends}


def test_a_new_ban_replaces_the_old(redis):
    bans.ban(redis, "192.0.2.1", 3600)

    ends = bans.ban(redis, "192.0.2.1", 60)

    assert bans.banned(redis) == {"192.0.2.1": ends}


def test_nothing_is_left_when_all_bans_have_ended(redis):
    banned = (("192.0.2.1", 60), ("192.0.2.2", 3600), ("192.0.2.3", 30))
    ends = {client: bans.ban(redis, client, seconds) for client, seconds in banned}

    goes_at = {key.decode(): goes_at_ms(redis, key) / 1000 for key in redis.scan_iter()}
    assert goes_at == {
        "spigot:1:door:ban:192.0.2.1": pytest.approx(ends["192.0.2.1"], abs=0.005),
        "spigot:1:door:ban:192.0.2.2": pytest.approx(ends["192.0.2.2"], abs=0.005),
        "spigot:1:door:ban:192.0.2.3": pytest.approx(ends["192.0.2.3"], abs=0.005),
        "spigot:1:door:bans": pytest.approx(ends["192.0.2.2"], abs=0.005),
    }


def test_a_ban_holds_to_the_microsecond_on_any_name(redis):
    limiter = ClockedLimiter(redis, {"r": {"limit": 5, "window": 60}})
    redis.set("spigot:1:door:ban:second", START + SECOND)

    for names in (["second"], ["first", "second", "third"]):
        decision = limiter.ask(0, names=names)
        assert (decision.verdict, decision.wait_us) == (Verdict.BANNED, SECOND)
        assert limiter.ask(SECOND - 1, names=names).wait_us == 1
        assert limiter.ask(SECOND, names=names).verdict is Verdict.ADMITTED
    assert limiter.ask(0, names=["first"]).verdict is Verdict.ADMITTED


def test_bans_that_have_ended_are_not_listed(redis):
    redis.zadd("spigot:1:door:bans", {"long ago": 1, "just now": time.time() * 1e6})

    assert bans.banned(redis) == {}
    bans.ban(redis, "192.0.2.1", 60)
    assert redis.zrange("spigot:1:door:bans", 0, -1) == [b"192.0.2.1"]


def test_unban_tells_whether_there_was_a_ban(redis):
    bans.ban(redis, "192.0.2.1", 60)

    assert bans.unban(redis, "192.0.2.1")
    assert not bans.unban(redis, "192.0.2.1")
    assert redis.dbsize() == 0


def test_a_ban_is_kept_to_its_end(redis):
    ends = bans.ban(redis, "192.0.2.1", 60.0005)  # finer than Redis can express

    assert redis.pexpiretime("spigot:1:door:bans") >= ends * 1000
