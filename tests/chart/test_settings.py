"""The chart's values are the program's settings, name for name, and what it renders is what the program accepts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from charts import generate, helm
from ratchet.config import load_settings
from ratchet.config.settings import Settings
from tests.chart.objects import RENDERED, environment, named, of_kind, pod, rendered, values_file

CHANGED = {"http.host": "0.0.0.0", "log_format": "json"}
"""Defaults that differ in a container from those of the program."""

PRESETS = {f"{section}.{name}" for section, known in generate.TIMES.items() for name in known}
"""What the values leave to the preset."""


def names(model: type[BaseModel], path: str = "") -> dict[str, Any]:
    """Return every setting's dotted name with its default."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= names(field.annotation, f"{path}{name}.")
        else:
            found[f"{path}{name}"] = field.get_default()
    return found


def flat(tree: dict[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{path}{name}.") if isinstance(value, dict) else {f"{path}{name}": value}
    return found


@pytest.mark.without_helm
def test_each_setting_is_a_value_or_made_by_the_chart() -> None:
    settings = set(names(Settings))
    assert generate.settings_names() == settings - generate.MADE_BY_CHART


@pytest.mark.without_helm
def test_the_values_hold_the_defaults_of_the_program() -> None:
    defaults = names(Settings)
    for name, value in flat(generate.values()["settings"]).items():
        assert value == (None if name in PRESETS else CHANGED.get(name, defaults[name])), name


@pytest.mark.parametrize("preset", ["default", "fast"])
def test_a_preset_chosen_in_the_values_is_what_the_program_has_and_what_the_chart_counts_with(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = helm.render([values_file("demo")], "--set", f"settings.preset={preset}")
    text = named(tuple(objects), "ConfigMap", "ratchet-settings")["data"]["settings.yaml"]
    monkeypatch.setenv("RATCHET_CONFIG_FILE", _file(tmp_path / "settings.yaml", text))
    monkeypatch.setenv("RATCHET_DATABASE_URL", "postgresql://user:password@host/0")
    monkeypatch.setenv("RATCHET_OPENALGO_API_KEY", "key-0123456789-0123456789")
    settings = load_settings(require_tokens=False)
    counted = yaml.safe_load(generate.times())[preset]
    for section, known in counted.items():
        for name, value in known.items():
            assert getattr(getattr(settings, section), name) == value, name
    assert counted["leader"]["lease_duration_seconds"] == {"default": 10, "fast": 5}[preset]


@pytest.mark.parametrize("name", RENDERED)
@pytest.mark.parametrize("component", ["signals", "leader", "migrate"])
def test_the_program_accepts_what_the_chart_renders(
    name: str, component: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rendered file and environment; secret files hold a value of the right form."""
    text = named(rendered(name), "ConfigMap", "ratchet-settings")["data"]["settings.yaml"]
    (tmp_path / "settings.yaml").write_text(text)
    for variable, value in environment(pod(rendered(name), component)["containers"][0]).items():
        if variable.endswith("_URL_FILE"):
            scheme = "postgresql" if "DATABASE" in variable else "redis"
            value = _file(tmp_path / variable, f"{scheme}://user:password@host/0")
        elif variable.endswith("_FILE") and value.startswith("/run/secrets/ratchet/"):
            value = _file(tmp_path / variable, f"{Path(value).name}-0123456789")
        elif variable == "RATCHET_CONFIG_FILE":
            assert value == "/etc/ratchet/settings.yaml"
            value = str(tmp_path / "settings.yaml")
        elif isinstance(value, dict):
            value = value["fieldRef"]["fieldPath"].replace(".", "-")
        monkeypatch.setenv(variable, str(value))
    settings = load_settings(require_tokens=component == "signals")
    assert settings.http.host == "0.0.0.0"
    assert not settings.embedded
    assert settings.broker_is_simulator == (name == "demo")


def _file(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", RENDERED)
def test_a_change_of_settings_starts_the_pods_anew(name: str) -> None:
    for component in ("signals", "leader"):
        deployment = named(rendered(name), "Deployment", f"ratchet-{component}")
        assert "checksum/settings" in deployment["spec"]["template"]["metadata"]["annotations"]


def test_a_change_of_given_secrets_starts_the_pods_and_the_migration_anew() -> None:
    def seen(token: str) -> tuple[set[str], str]:
        objects = tuple(helm.render([values_file("demo")], "--set", f"secrets.webhookToken={token}"))
        (job,) = of_kind(objects, "Job")
        templates = [
            found["spec"]["template"]["metadata"] for found in objects if found["kind"] in ("Deployment", "Job")
        ]
        return {one["annotations"]["checksum/secrets"] for one in templates}, job["metadata"]["name"]

    (before,), job_before = seen("token-before-0123456789")
    (after,), job_after = seen("token-after-0123456789")
    assert before != after and job_before != job_after
    generated = rendered("external")
    assert all(
        "checksum/secrets" not in found["spec"]["template"]["metadata"]["annotations"]
        for found in of_kind(generated, "Deployment")
    )


def test_large_numbers_stay_numbers_on_their_way_to_the_program() -> None:
    text = named(rendered("external"), "ConfigMap", "ratchet-settings")["data"]["settings.yaml"]
    assert yaml.safe_load(text)["broker"]["lookup_schedule_seconds"] == [1, 2.5, 4]
    assert "e+" not in text


def test_a_portfolio_is_passed_on_letter_by_letter() -> None:
    assert "50_00_000" in named(rendered("external"), "ConfigMap", "ratchet-portfolio")["data"]["portfolio.yaml"]


@pytest.mark.without_helm
def test_the_schema_and_the_page_are_current() -> None:
    assert [path.name for path, text in generate.outputs().items() if path.read_text("utf-8") != text] == [], (
        "run `python charts/generate.py`"
    )
