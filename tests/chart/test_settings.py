"""The chart's values are the program's settings, name for name, and what it renders is what the program accepts."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from charts import generate
from ratchet.config import load_settings
from ratchet.config.settings import Settings
from tests.chart.objects import RENDERED, environment, named, pod, rendered

CHANGED = {"http.host": "0.0.0.0", "log_format": "json", "drain.delay_seconds": 5}
"""Defaults that differ in a container from those of the program."""


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
        assert value == CHANGED.get(name, defaults[name]), name


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
