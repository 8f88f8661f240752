from spigot import create_app


def test_clients_see_the_job_types_that_they_may_submit(client):
    answer = client.get("/types")

    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    types = {each["name"]: each for each in answer.json["types"]}
    assert list(types) == ["add", "order", "shout"]
    assert types["shout"] == {
        "name": "shout",
        "bucket": "narrow",
        "timeout": 7,
        "retries": {"retries": 2, "delay": 0.0, "factor": 2.0, "cap": 3600.0, "jitter": True},
        "payload": {
            "title": "shout",
            "type": "object",
            "properties": {"text": {"title": "Text", "type": "string"}},
            "required": ["text"],
            "additionalProperties": False,
        },
    }


def test_job_types_are_shown_while_the_server_is_away(settings):
    app = create_app(settings(redis_url="redis://127.0.0.1:1"))

    assert app.test_client().get("/types").status_code == 200
