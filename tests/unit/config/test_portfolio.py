"""The portfolio file: what is shipped, what is refused, and whose key and token is whose."""

from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ratchet.config import ConfigurationError, LoadedPortfolio, Settings, load_portfolio, load_settings
from ratchet.config.portfolio import DEFAULT_FILE
from ratchet.config.portfolio_schema import InstrumentRow, LadderRow, LimitsRow
from ratchet.domain.instruments import Form, Instrument, LadderRules, Limits

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home", simulator={"load_accounts": 0})


def load_changed(tmp_path: Path, settings: Settings, change: Change) -> LoadedPortfolio:
    tree = yaml.safe_load(DEFAULT_FILE.read_text())
    change(tree)
    file = tmp_path / "portfolio.yaml"
    file.write_text(yaml.safe_dump(tree))
    return load_portfolio(settings.model_copy(update={"portfolio_file": file}))


def test_four_instruments_are_shipped_with_the_figures_of_the_domain(settings: Settings) -> None:
    instruments = load_portfolio(settings).portfolio.instruments
    figures = {
        name: (i.point_value, i.margin_per_lot, i.trailing_atr, i.max_pyramids) for name, i in instruments.items()
    }
    assert figures == {
        "BANK_NIFTY": (Decimal(30), Decimal(270_000), Decimal("2.5"), 5),
        "GOLD_MINI": (Decimal(10), Decimal(105_000), Decimal(2), 3),
        "SILVER_MINI": (Decimal(5), Decimal(385_000), Decimal(3), 5),
        "COPPER": (Decimal(2500), Decimal(300_000), Decimal(5), 3),
    }
    assert [i.form for i in instruments.values()] == [Form.SYNTHETIC, Form.FUTURE, Form.FUTURE, Form.FUTURE]


def test_what_is_shipped_equals_the_defaults_of_the_domain(settings: Settings) -> None:
    portfolio = load_portfolio(settings).portfolio
    assert (portfolio.limits, portfolio.ladder) == (Limits(), LadderRules())
    assert portfolio.accounts["main"].initial_capital == Decimal(5_000_000)


def test_fractions_reach_the_domain_exactly(tmp_path: Path, settings: Settings) -> None:
    loaded = load_changed(tmp_path, settings, lambda tree: tree["limits"].update(risk=14.1))
    assert loaded.portfolio.limits.risk == Decimal("14.1")


@pytest.mark.parametrize(("row", "value"), [(LimitsRow, Limits), (LadderRow, LadderRules), (InstrumentRow, Instrument)])
def test_the_file_has_a_field_for_each_field_of_the_domain(row: Any, value: Any) -> None:
    assert set(row.model_fields) == {field.name for field in fields(value)}


def test_the_webhook_token_and_its_predecessor_belong_to_the_default_route(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, webhook_token="a" * 16, webhook_token_previous="b" * 16)
    loaded = load_portfolio(settings)
    assert [entry.token.get_secret_value() for entry in loaded.webhook_tokens] == ["a" * 16, "b" * 16]
    assert {entry.route for entry in loaded.webhook_tokens} == {loaded.default_route}


def test_a_further_token_belongs_to_its_own_account_and_strategy(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "key-of-other")
    (tmp_path / "token").write_text("token-of-other-0123\n")

    def second_account(tree: dict[str, Any]) -> None:
        tree["accounts"].append({"id": "other", "initial_capital": 100_000, "api_key_env": "OTHER_KEY"})
        tree["webhooks"] = [{"account": "other", "strategy": "trend", "token_file": str(tmp_path / "token")}]

    loaded = load_changed(tmp_path, settings, second_account)
    entry = loaded.webhook_tokens[-1]
    assert (entry.token.get_secret_value(), entry.route.account) == ("token-of-other-0123", "other")
    keys = {account: key.get_secret_value() for account, key in loaded.api_keys.items()}
    assert keys["other"] == "key-of-other"  # type: ignore[index]
    assert "token-of-other" not in repr(loaded)


def test_load_accounts_exist_with_the_simulator_only(tmp_path: Path) -> None:
    simulated = load_settings(home=tmp_path / "a", simulator={"load_accounts": 50})
    loaded = load_portfolio(simulated)
    assert [name for name in loaded.portfolio.accounts if name != "main"] == [f"load-{n:02}" for n in range(1, 51)]
    assert len({key.get_secret_value() for key in loaded.api_keys.values()}) == 51
    assert loaded.portfolio.accounts["load-50"].initial_capital == Decimal(5_000_000)
    real = load_settings(home=tmp_path / "b", openalgo_url="http://openalgo:5000", openalgo_api_key="key")
    assert list(load_portfolio(real).portfolio.accounts) == ["main"]


def test_without_an_api_key_the_fix_is_named(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, openalgo_url="http://openalgo:5000")
    with pytest.raises(ConfigurationError, match="RATCHET_OPENALGO_API_KEY is not set"):
        load_portfolio(settings)


def _twice(tree: dict[str, Any]) -> None:
    tree["instruments"].append(tree["instruments"][0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_twice, "BANK_NIFTY stands twice"),
        (lambda tree: tree["instruments"][0].pop("strike_interval"), "strike_interval"),
        (lambda tree: tree["instruments"][1].update(strike_interval=500), "strike_interval"),
        (lambda tree: tree["instruments"][1].update(tick=0), "instruments.1.tick"),
        (lambda tree: tree["instruments"][1].update(ongoing_risk=0.5), "ongoing_risk"),
        (lambda tree: tree["instruments"][1].update(colour="gold"), "instruments.1.colour"),
        (lambda tree: tree["limits"].update(risk=101), "limits.risk"),
        (lambda tree: tree["limits"].update(pyramid_risk=16), "pyramid_risk must not exceed risk"),
        (lambda tree: tree["ladder"].update(rungs=26), "ladder.rungs"),
        (lambda tree: tree["accounts"].clear(), "accounts"),
        (lambda tree: tree["accounts"][0].update(id="load-01"), "load-"),
        (lambda tree: tree["accounts"][0].update(initial_capital=-1), "initial_capital"),
        (lambda tree: tree["accounts"].append({"id": "b", "initial_capital": 1}), "account b: name api_key_env"),
        (lambda tree: tree["accounts"][0].update(api_key_env="NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is not set"),
        (lambda tree: tree["accounts"][0].update(api_key_env="A", api_key_file="b"), "keep one"),
        (lambda tree: tree["default"].update(account="nobody"), "nobody/trend: no such account"),
        (lambda tree: tree["webhooks"].append({"account": "main", "strategy": "trend"}), "token_env or token_file"),
        (lambda tree: tree["webhooks"].append({"account": "main", "strategy": "x", "token_env": "A"}), "main/x"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_by_name(
    tmp_path: Path, settings: Settings, change: Change, message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_changed(tmp_path, settings, change)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "accounts: [", "a: !!python/object:os.system {}"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, settings: Settings, text: str) -> None:
    file = tmp_path / "portfolio.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match="RATCHET_PORTFOLIO_FILE"):
        load_portfolio(settings.model_copy(update={"portfolio_file": file}))


def test_a_file_that_is_not_there_is_named(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match=r"RATCHET_PORTFOLIO_FILE: .*cannot be read"):
        load_portfolio(settings.model_copy(update={"portfolio_file": tmp_path / "missing.yaml"}))
