from spigot.webapp.api_docs.titles import Titles


def test_the_first_free_wish_is_taken():
    titles = Titles()

    assert titles.take("Refused") == "Refused"
    assert titles.take("refused", "refused payload") == "refused payload"
    assert titles.take("re-fused", "refused-payload") == "refused-payload 2"
    assert titles.take("refused", "refused_payload") == "refused_payload 3"
