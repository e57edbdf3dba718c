"""Upgrades and the way back, with a schema that is behind, and after others have changed what they may."""

from __future__ import annotations

import json

import pytest

from ratchet.persistence.revision import newest
from tests.e2e.release import Release, asked, slow, until
from tests.e2e.traffic import Load

pytestmark = [asked, slow, pytest.mark.timeout(500)]

BEFORE = "0002"
"""A revision that the newest one knows how to begin from."""


def log_level(release: Release) -> str:
    """Return the level that the pods' settings file asks for."""
    text = release.get("configmap", "ratchet-settings")["data"]["settings.yaml"]
    return next((line.split()[-1] for line in text.splitlines() if line.startswith("log_level")), "")


def mark(release: Release, revision: str) -> None:
    """Write down that the database is at a revision."""
    code = (
        "import os, psycopg; url = open(os.environ['RATCHET_DATABASE_URL_FILE']).read().strip(); "
        "psycopg.connect(url, autocommit=True).execute('UPDATE alembic_version SET version_num = %s', "
        f"['{revision}'])"
    )
    release.kubectl("exec", release.running("leader")[0], "--", "python", "-c", code)


def test_two_upgrades_after_changes_by_others_fail_no_request(release: Release) -> None:
    release.kubectl("scale", "deployment/ratchet-signals", "--replicas=3")
    release.kubectl("rollout", "restart", "deployment/ratchet-leader")
    release.kubectl("annotate", "service/ratchet", "example.com/seen=yes", "--overwrite")
    release.kubectl("label", "deployment/ratchet-signals", "example.com/team=trading", "--overwrite")
    release.ready()
    with Load(release.door()) as load:
        for level in ("WARNING", "INFO"):
            lease = release.get("lease", "ratchet-leader")["spec"]["leaseTransitions"]
            release.upgrade("--set", f"settings.log_level={level}")
            release.ready()
            assert log_level(release) == level
            assert release.get("lease", "ratchet-leader")["spec"]["leaseTransitions"] >= lease
    release.unharmed(load.account)
    assert release.get("service", "ratchet")["metadata"]["annotations"]["example.com/seen"] == "yes"
    assert release.get("deployment", "ratchet-signals")["metadata"]["labels"]["example.com/team"] == "trading"


def test_an_upgrade_brings_an_older_schema_up_before_its_pods_serve(release: Release) -> None:
    pod = release.running("leader")[0]
    release.kubectl("exec", pod, "--", "ratchet", "migrate", "down", BEFORE, "--yes")
    jobs = {job["metadata"]["name"] for job in release.get("jobs")}
    release.upgrade("--set", "settings.log_level=DEBUG")
    release.ready()
    (job,) = [job for job in release.get("jobs") if job["metadata"]["name"] not in jobs]
    assert job["status"]["succeeded"] == 1
    release.kubectl("exec", release.running("leader")[0], "--", "ratchet", "migrate", "check")
    with Load(release.door()) as load:
        load.run(5)
    release.unharmed(load.account)


def test_a_rollback_brings_the_release_before_back(release: Release) -> None:
    release.upgrade("--set", "settings.log_level=WARNING")
    release.ready()
    before = log_level(release)
    release.upgrade("--set", "settings.log_level=ERROR,signals.minReadySeconds=1")
    release.ready()
    assert log_level(release) == "ERROR" != before
    # As if the release that is left had migrated: its schema stays, and the release before works with it.
    mark(release, "9999")
    try:
        jobs = {job["metadata"]["name"] for job in release.get("jobs")}
        with Load(release.door()) as load:
            release.helm("rollback", release.name)
            release.ready()
            until(lambda: log_level(release) == before, within=10)
        release.unharmed(load.account)
        (job,) = [job for job in release.get("jobs") if job["metadata"]["name"] not in jobs]
        until(lambda: release.get("job", job["metadata"]["name"])["status"].get("succeeded") == 1, within=60)
    finally:
        mark(release, newest())
    history = json.loads(release.helm("history", release.name, "--output", "json"))
    assert "Rollback" in history[-1]["description"]
