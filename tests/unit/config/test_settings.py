"""Settings: where they come from, what is refused, and that nothing secret is shown."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ratchet.config import ConfigurationError, Settings, describe, load_settings
from ratchet.config.sections import BrokerKind

TOKEN = "0123456789abcdef-webhook"
API_TOKEN = "0123456789abcdef-api"
POD: dict[str, Any] = {
    "database_url": "postgresql://ratchet:db-password@db/ratchet",
    "openalgo_url": "http://openalgo:5000",
    "openalgo_api_key": "0123456789abcdef-key",
    "webhook_token": TOKEN,
    "api_token": API_TOKEN,
}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_HOME", str(tmp_path / "home"))


def problems(**values: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**values)
    return "\n".join(caught.value.problems)


def test_without_a_database_everything_is_embedded(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.embedded
    assert settings.broker_kind is BrokerKind.SIMULATOR
    assert settings.database_address == f"sqlite:///{tmp_path}/home/ratchet.db"
    assert settings.simulator_file == tmp_path / "home" / "broker.db"
    assert (settings.drain.delay_seconds, settings.simulator.load_accounts) == (0.0, 50)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"database_replica_url": "mysql://db/x"}, "RATCHET_DATABASE_REPLICA_URL"),
        ({"database_replica_url": "postgresql://db/x", "database_url": "sqlite:////x"}, "RATCHET_DATABASE_URL"),
        ({"database_replica_url": "postgresql://db/x", "database_url": None}, "RATCHET_DATABASE_URL"),
    ],
)
def test_a_read_replica_is_of_postgresql_only(changes: dict[str, Any], field: str) -> None:
    assert f"{field}: a read replica is PostgreSQL's" in problems(**{**POD, **changes})


def test_embedded_secrets_are_made_once_and_only_their_owner_can_read_them(tmp_path: Path) -> None:
    first, second = load_settings(), load_settings()
    for name in ("webhook_token", "api_token", "openalgo_api_key"):
        path = tmp_path / "home" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert (
            getattr(first, name).get_secret_value()
            == getattr(second, name).get_secret_value()
            == path.read_text().strip()
        )
    assert len(set(first.secret_values())) == 3


def test_processes_that_start_at_once_agree_on_the_generated_token() -> None:
    code = "from ratchet.config import load_settings; print(load_settings().webhook_token.get_secret_value())"
    starts = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
        for _ in range(4)
    ]
    assert len({start.communicate(timeout=30)[0] for start in starts}) == 1


def test_outside_the_embedded_mode_missing_tokens_are_refused_together() -> None:
    found = problems(database_url="postgresql://db/ratchet")
    for name in ("RATCHET_WEBHOOK_TOKEN", "RATCHET_API_TOKEN", "RATCHET_OPENALGO_URL"):
        assert f"{name} is not set" in found


def test_a_process_without_http_needs_no_tokens() -> None:
    settings = load_settings(**{**POD, "webhook_token": None, "api_token": None}, require_tokens=False)
    assert settings.webhook_token is None


def test_environment_names_nest_with_two_underscores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_HTTP__ALLOW_LIST", "10.0.0.0/8, 192.0.2.7")
    monkeypatch.setenv("RATCHET_BROKER__LOOKUP_SCHEDULE_SECONDS", "1,2.5")
    monkeypatch.setenv("RATCHET_HTTP_PORT", "9090")
    monkeypatch.setenv("RATCHET_REDIS_URL", "")
    settings = load_settings()
    assert [str(network) for network in settings.http.allow_list] == ["10.0.0.0/8", "192.0.2.7/32"]
    assert settings.broker.lookup_schedule_seconds == (1.0, 2.5)
    assert (settings.http_port, settings.redis_url) == (9090, None)


def test_the_environment_is_stronger_than_the_file_and_the_file_than_the_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "ratchet.yaml"
    file.write_text("preset: test\nexecution: {concurrency: 3, sweep_seconds: 0.3}\nhttp: {host: 0.0.0.0}\n")
    monkeypatch.setenv("RATCHET_CONFIG_FILE", str(file))
    monkeypatch.setenv("RATCHET_EXECUTION__CONCURRENCY", "5")
    execution = load_settings().execution
    assert (execution.concurrency, execution.sweep_seconds, execution.claim_lease_seconds) == (5, 0.3, 1.0)


def test_a_secret_in_the_settings_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ratchet.yaml"
    file.write_text("api_token: in-the-open-0123456789\n")
    found = problems(config_file=file)
    assert "RATCHET_API_TOKEN_FILE" in found
    assert "in-the-open" not in found


def test_a_secret_can_be_a_file_but_not_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("RATCHET_WEBHOOK_TOKEN_FILE", str(tmp_path / "token"))
    token = load_settings().webhook_token
    assert token is not None
    assert token.get_secret_value() == TOKEN
    monkeypatch.setenv("RATCHET_WEBHOOK_TOKEN", TOKEN)
    assert "RATCHET_WEBHOOK_TOKEN_FILE are both set" in problems()


@pytest.mark.parametrize("content", [None, "", "\xff\xfe"])
def test_an_unusable_secret_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    monkeypatch.setenv("RATCHET_OPENALGO_API_KEY_FILE", str(path))
    assert f"RATCHET_OPENALGO_API_KEY_FILE: {path}" in problems()


def test_all_faults_are_told_at_once_and_name_their_settings() -> None:
    found = problems(http={"host": "::", "bogus": 1}, broker={"connections": 0}, execution={"claim_batch": "many"})
    for name in ("RATCHET_HTTP__BOGUS", "RATCHET_BROKER__CONNECTIONS", "RATCHET_EXECUTION__CLAIM_BATCH"):
        assert name in found


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"database_url": "mysql://db/x"}, "RATCHET_DATABASE_URL"),
        ({"database_url": "sqlite://relative"}, "RATCHET_DATABASE_URL"),
        ({"redis_url": "127.0.0.1:6379"}, "RATCHET_REDIS_URL"),
        ({"openalgo_url": "openalgo:5000"}, "RATCHET_OPENALGO_URL"),
        ({"webhook_token": "short"}, "RATCHET_WEBHOOK_TOKEN"),
        ({"webhook_token": "has a space in it and more"}, "RATCHET_WEBHOOK_TOKEN"),
        ({"webhook_token": API_TOKEN}, "RATCHET_WEBHOOK_TOKEN and RATCHET_API_TOKEN"),
        ({"failpoints": "K8:kill"}, "RATCHET_FAILPOINTS"),
        ({"failpoints": "K99:kill", "broker": {"kind": "simulator"}}, "RATCHET_FAILPOINTS"),
        ({"broken_build": "no_slot"}, "RATCHET_BROKEN_BUILD"),
        ({"preset": "test"}, "RATCHET_PRESET=test"),
        ({"simulator": {"load_accounts": 5}}, "RATCHET_SIMULATOR__LOAD_ACCOUNTS"),
        ({"broker": {"orders_per_second": 11}}, "RATCHET_BROKER__ORDERS_PER_SECOND"),
        ({"broker": {"read_timeout_seconds": 11}}, "RATCHET_BROKER__READ_TIMEOUT_SECONDS"),
        ({"broker": {"drain_bound_seconds": 10, "answered_bound_seconds": 1}}, "RATCHET_BROKER__DRAIN_BOUND_SECONDS"),
        ({"broker": {"answered_bound_seconds": 151}}, "RATCHET_BROKER__ANSWERED_BOUND_SECONDS"),
        ({"broker": {"orders_per_second_for_exits": 8}}, "RATCHET_BROKER__ORDERS_PER_SECOND_FOR_EXITS"),
        ({"broker": {"orders_per_minute": 7}}, "RATCHET_BROKER__ORDERS_PER_MINUTE"),
        ({"broker": {"send_window_seconds": 3}}, "RATCHET_EXECUTION__LEASE_LEFT_TO_SEND_SECONDS"),
        ({"execution": {"heartbeat_seconds": 6}}, "RATCHET_EXECUTION__HEARTBEAT_SECONDS"),
        ({"execution": {"lease_left_to_send_seconds": 11}}, "RATCHET_EXECUTION__CLAIM_LEASE_SECONDS"),
        ({"execution": {"sweep_seconds": 16}}, "RATCHET_EXECUTION__SWEEP_SECONDS"),
        ({"execution": {"retry_first_seconds": 61}}, "RATCHET_EXECUTION__RETRY_FIRST_SECONDS"),
        ({"leader": {"renew_deadline_seconds": 9}}, "RATCHET_LEADER__RENEW_DEADLINE_SECONDS"),
        ({"leader": {"retry_period_seconds": 5}}, "RATCHET_LEADER__RETRY_PERIOD_SECONDS"),
        ({"leader": {"renew_deadline_seconds": 5.9}}, "RATCHET_LEADER__RENEW_DEADLINE_SECONDS"),
        ({"leader": {"lease_duration_seconds": 9.5}}, "RATCHET_LEADER__LEASE_DURATION_SECONDS"),
        ({"leader": {"lease_duration_seconds": 10.5}}, "RATCHET_LEADER__LEASE_DURATION_SECONDS"),
        ({"leader": {"lease_name": "No Name"}}, "RATCHET_LEADER__LEASE_NAME"),
        ({"leader": {"request_timeout_seconds": 2.5}}, "RATCHET_LEADER__REQUEST_TIMEOUT_SECONDS"),
        ({"database": {"lock_timeout_seconds": 6}}, "RATCHET_DATABASE__LOCK_TIMEOUT_SECONDS"),
        ({"database": {"statement_timeout_seconds": 11}}, "RATCHET_DATABASE__STATEMENT_TIMEOUT_SECONDS"),
        ({"redis": {"breaker_first_probe_seconds": 31}}, "RATCHET_REDIS__BREAKER_FIRST_PROBE_SECONDS"),
        ({"http": {"rate_limit_burst": 100}}, "RATCHET_HTTP__RATE_LIMIT_BURST"),
        ({"http": {"page_size": 501}}, "RATCHET_HTTP__PAGE_SIZE"),
        ({"http": {"allow_list": "not-an-address"}}, "RATCHET_HTTP__ALLOW_LIST"),
        ({"database": {"pool_timeout_seconds": float("inf")}}, "RATCHET_DATABASE__POOL_TIMEOUT_SECONDS"),
    ],
)
def test_what_does_not_fit_together_is_refused_by_name(values: dict[str, Any], names: str) -> None:
    assert names in problems(**{**POD, **values})


def test_test_switches_are_let_through_for_the_simulator() -> None:
    settings = load_settings(
        **POD, broker={"kind": "simulator"}, preset="test", failpoints="K8:kill", broken_build="no_slot"
    )
    assert settings.broker_is_simulator
    assert settings.broker.drain_bound_seconds == 3.0


def test_both_presets_pass_the_same_checks() -> None:
    for preset in ("default", "test"):
        assert load_settings(preset=preset).preset == preset


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.http_port = 1  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        settings.http.host = "x"  # type: ignore[misc]


def test_no_secret_is_shown_in_the_description_or_the_repr() -> None:
    settings = load_settings(**POD)
    shown = "\n".join(f"{name}={value}" for name, value in describe(settings).items()) + repr(settings)
    assert "RATCHET_WEBHOOK_TOKEN=set (hidden)" in shown
    assert "RATCHET_API_TOKEN_PREVIOUS=not set" in shown
    assert set(settings.secret_values()) >= {TOKEN, API_TOKEN, POD["openalgo_api_key"]}
    for secret in settings.secret_values():
        assert secret not in shown


def test_no_refusal_repeats_a_secret() -> None:
    found = problems(**{**POD, "webhook_token": "has spaces in it, a secret", "database_url": "mysql://u:hidden@h/d"})
    assert "a secret" not in found
    assert "hidden" not in found


def test_the_reference_names_every_setting_with_a_meaning() -> None:
    command = [sys.executable, "-m", "ratchet.config"]
    page = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]).stdout
    for name in describe(Settings(home=Path(os.devnull))):
        row = next(line for line in page.splitlines() if f"| `{name}` |" in line)
        assert len(row.split("|")[4].strip()) > 10, name
