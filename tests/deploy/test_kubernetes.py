"""The manifests for Kubernetes, checked by its schema and against the code; none is run here."""

import json
import re
from pathlib import Path

import pytest
import yaml

from spigot.__main__ import COMMANDS
from spigot.jobs.bucket.config import load_bucket_configs
from spigot.runtime.settings import Settings, variable_name
from spigot.webapp.door.rate_limits.rules_file import read_rules
from spigot.webapp.gunicorn.settings import GRACEFUL_SECONDS
from spigot.worker.worker_processes import GIVE_BACK_SECONDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = {
    (document["kind"], document["metadata"]["name"]): document
    for path in sorted(FOLDER.glob("*.yaml"))
    for document in yaml.load_all(path.read_text(), yaml.CSafeLoader)
}
SETTINGS = {variable_name(field) for field in Settings.model_fields}
SHARED = MANIFESTS["ConfigMap", "spigot"]["data"]
FILES = MANIFESTS["ConfigMap", "spigot-files"]["data"]
WORKLOADS = [key for key in MANIFESTS if key[0] in ("Deployment", "StatefulSet")]
OURS = [key for key in WORKLOADS if key[0] == "Deployment"]
SCALERS = [key for key in MANIFESTS if key[0] == "HorizontalPodAutoscaler"]
WEB, WORKER = ("Deployment", "spigot-web"), ("Deployment", "spigot-worker-default")
PAGE = (ROOT / "docs" / "deploy.md").read_text()
PROMETHEUS = ROOT / "deploy" / "prometheus"


def pod(key):
    return MANIFESTS[key]["spec"]["template"]["spec"]


def container(key):
    (only,) = pod(key)["containers"]
    return only


def name_of(key):
    return "/".join(key)


@pytest.mark.slow
@pytest.mark.parametrize("key", MANIFESTS, ids=name_of)
def test_the_schemas_of_kubernetes_accept_it(key):
    import kubernetes_validate  # of the extra `ci`

    for version in ("1.28", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(MANIFESTS[key], version, strict=True)


@pytest.mark.parametrize("key", WORKLOADS, ids=name_of)
def test_selectors_find_their_pods(key):
    labels = MANIFESTS[key]["spec"]["template"]["metadata"]["labels"]

    assert MANIFESTS[key]["spec"]["selector"]["matchLabels"] == labels
    service = MANIFESTS.get(("Service", key[1]))
    if service:
        assert service["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize("key", WORKLOADS, ids=name_of)
def test_a_pod_is_not_root_and_writes_to_its_volumes_only(key):
    assert pod(key)["securityContext"]["runAsNonRoot"]
    assert pod(key)["automountServiceAccountToken"] is False
    assert container(key)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["name"] for mount in container(key)["volumeMounts"]}
    claims = MANIFESTS[key]["spec"].get("volumeClaimTemplates", ())
    claimed = {claim["metadata"]["name"] for claim in claims}
    assert mounts == {volume["name"] for volume in pod(key).get("volumes", ())} | claimed


@pytest.mark.parametrize("key", OURS, ids=name_of)
def test_our_pods_run_commands_as_the_user_of_the_image(key):
    program, command, *_ = container(key)["args"]

    assert (program, command in COMMANDS) == ("spigot", True)
    assert f"USER {pod(key)['securityContext']['runAsUser']}\n" in (ROOT / "Dockerfile").read_text()
    assert {"configMapRef": {"name": "spigot"}} in container(key)["envFrom"]


@pytest.mark.parametrize("key", OURS, ids=name_of)
def test_settings_are_ours_and_files_and_folders_are_there(key):
    given = SHARED | {each["name"]: each.get("value") for each in container(key).get("env", ())}
    mounted = {mount["mountPath"]: mount for mount in container(key)["volumeMounts"]}

    assert given.keys() <= SETTINGS
    assert given["SPIGOT_DATA_DIR"] in mounted
    for setting in ("SPIGOT_BUCKETS", "SPIGOT_RATE_LIMITS"):
        folder, _, name = given[setting].rpartition("/")
        assert mounted[folder]["name"] == "files"
        assert name in FILES


def test_the_settings_can_be_read(monkeypatch):
    for name, value in SHARED.items():
        monkeypatch.setenv(name, value)

    assert Settings(_env_file=None).trusted_proxies


def test_the_files_can_be_read(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    assert load_bucket_configs(tmp_path / "buckets.json")
    assert read_rules(tmp_path / "rate_limits.json")


def test_the_web_is_ready_when_it_serves_and_lives_without_redis():
    probes = {name: container(WEB)[name]["httpGet"]["path"] for name in (
        "startupProbe", "livenessProbe", "readinessProbe")}  # fmt: skip

    assert probes == {
        "startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz",
    }  # fmt: skip
    ports = {port["name"]: port["containerPort"] for port in container(WEB)["ports"]}
    env = {each["name"]: each["value"] for each in container(WEB)["env"]}
    assert ports == {"http": int(env["PORT"])}
    assert MANIFESTS["Service", "spigot-web"]["spec"]["ports"][0]["targetPort"] == "http"


def test_requests_under_way_end_before_the_web_is_killed():
    program, seconds = container(WEB)["lifecycle"]["preStop"]["exec"]["command"]

    assert program == "sleep"
    assert pod(WEB)["terminationGracePeriodSeconds"] > int(seconds) + GRACEFUL_SECONDS


def test_workers_may_give_their_jobs_back_before_they_are_killed():
    grace = float(SHARED["SPIGOT_GRACE_SECONDS"])

    assert pod(WORKER)["terminationGracePeriodSeconds"] > grace + GIVE_BACK_SECONDS


@pytest.mark.parametrize("key", SCALERS, ids=name_of)
def test_what_is_scaled_is_there(key):
    target = MANIFESTS[key]["spec"]["scaleTargetRef"]

    assert (target["kind"], target["name"]) in OURS
    assert MANIFESTS[key]["spec"]["minReplicas"] >= 2


def test_workers_are_scaled_by_what_their_bucket_wants():
    (metric,) = MANIFESTS["HorizontalPodAutoscaler", WORKER[1]]["spec"]["metrics"]
    external = metric["external"]
    (rule,) = yaml.load((PROMETHEUS / "adapter.yml").read_text(), yaml.CSafeLoader)["externalRules"]
    _, _, bucket, _, count = container(WORKER)["args"]

    assert rule["name"]["as"] == external["metric"]["name"]
    assert f"- record: {rule['seriesQuery']}\n" in (PROMETHEUS / "rules.yml").read_text()
    assert external["metric"]["selector"]["matchLabels"] == {"bucket": bucket}
    assert external["target"] == {"type": "AverageValue", "averageValue": count}
    assert bucket in json.loads(FILES["buckets.json"])


def test_the_server_keeps_what_it_accepted_and_only_ours_reach_it():
    _, *options = container(("StatefulSet", "spigot-redis"))["args"]
    given = dict(zip(options[::2], options[1::2], strict=True))
    policy = MANIFESTS["NetworkPolicy", "spigot-redis"]["spec"]
    allowed = [source["podSelector"]["matchLabels"] for source in policy["ingress"][0]["from"]]

    assert given["--appendonly"] == "yes"
    assert given["--maxmemory-policy"] == "noeviction"
    assert given["--requirepass"] == "$(REDIS_PASSWORD)"
    assert policy["podSelector"]["matchLabels"] == {"app": "spigot-redis"}
    assert SHARED["REDIS_URL"].startswith("redis://spigot-redis:6379/")
    for key in OURS:
        labels = MANIFESTS[key]["spec"]["template"]["metadata"]["labels"]
        assert any(each.items() <= labels.items() for each in allowed)


def test_no_secret_stands_in_a_manifest():
    kinds = {kind for kind, _ in MANIFESTS}
    text = "".join(path.read_text() for path in FOLDER.glob("*.yaml"))

    assert "Secret" not in kinds
    assert not re.search(r"password\w*: (?!\$)", text, re.IGNORECASE)
    asked = set(re.findall(r"key: (\w+)", text))
    assert asked <= set(re.findall(r"--from-literal=(\w+)=", PAGE)) <= SETTINGS


def test_the_page_names_each_file():
    named = set(re.findall(r"\(\.\./(deploy/kubernetes/\S+)\)", PAGE))
    assert named == {str(path.relative_to(ROOT)) for path in FOLDER.glob("*.yaml")}
