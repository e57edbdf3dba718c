"""Reads the portfolio file: accounts, strategies, tokens, instruments and limits, with the secrets it points to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

from pydantic import SecretStr, ValidationError

from ratchet.config.checks import SHORTEST_TOKEN
from ratchet.config.portfolio_schema import AccountRow, PortfolioRows
from ratchet.config.problems import ConfigurationError, problems_of_file, setting_name
from ratchet.config.settings import Settings
from ratchet.config.sources import read_secret_file, read_yaml
from ratchet.domain.identity import AccountId, StrategyId
from ratchet.domain.instruments import Account, Portfolio

DEFAULT_FILE = Path(__file__).with_name("default_portfolio.yaml")

LOAD_CAPITAL = Decimal(50_00_000)
"""Rupees of each generated account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Whom a signal belongs to."""

    account: AccountId
    strategy: StrategyId


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookToken:
    """A token and whom its signals belong to."""

    token: SecretStr
    route: Route


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPortfolio:
    """The portfolio file, validated, with its secrets looked up."""

    portfolio: Portfolio
    strategies: tuple[StrategyId, ...]
    default_route: Route
    api_keys: Mapping[AccountId, SecretStr]
    webhook_tokens: tuple[WebhookToken, ...]
    """All tokens of the webhook, RATCHET_WEBHOOK_TOKEN and its predecessor among them."""

    def secret_values(self) -> tuple[str, ...]:
        """Return every secret, for redaction."""
        tokens = (entry.token for entry in self.webhook_tokens)
        return tuple(secret.get_secret_value() for secret in (*self.api_keys.values(), *tokens))


def load_portfolio(settings: Settings) -> LoadedPortfolio:
    """Read the file that RATCHET_PORTFOLIO_FILE names, or the shipped one.

    With the simulator, `simulator.load_accounts` accounts are added (load-01 ...), each with 50,00,000 rupees.
    Raises ConfigurationError with all problems at once.
    """
    path = settings.portfolio_file or DEFAULT_FILE
    try:
        rows = PortfolioRows.model_validate(read_yaml(path, setting_name("portfolio_file")))
    except ValidationError as error:
        raise ConfigurationError(problems_of_file(path.name, error)) from None
    problems: list[str] = []
    accounts = {row.id: row.account() for row in rows.accounts}
    keys = _api_keys(rows, settings, problems)
    for account_id, key in _load_accounts(settings).items():
        accounts[account_id] = Account(id=account_id, initial_capital=LOAD_CAPITAL)
        keys[AccountId(account_id)] = key
    tokens = _webhook_tokens(rows, settings, problems)
    if problems:
        raise ConfigurationError(problems)
    return LoadedPortfolio(
        portfolio=Portfolio(
            accounts=accounts,
            instruments={row.name: row.instrument() for row in rows.instruments},
            limits=rows.limits.limits(),
            ladder=rows.ladder.rules(),
        ),
        strategies=tuple(StrategyId(row.id) for row in rows.strategies),
        default_route=_route(rows.default.account, rows.default.strategy),
        api_keys=MappingProxyType(keys),
        webhook_tokens=tokens,
    )


def _route(account: str, strategy: str) -> Route:
    return Route(account=AccountId(account), strategy=StrategyId(strategy))


def _api_keys(rows: PortfolioRows, settings: Settings, problems: list[str]) -> dict[AccountId, SecretStr]:
    keys: dict[AccountId, SecretStr] = {}
    for row in rows.accounts:
        key = _api_key(row, rows.default.account, settings, problems)
        if key is not None:
            keys[AccountId(row.id)] = key
    values = [key.get_secret_value() for key in keys.values()]
    if len(set(values)) != len(values):
        problems.append("two accounts have the same API key: each account has its own OpenAlgo")
    return keys


def _api_key(row: AccountRow, default: str, settings: Settings, problems: list[str]) -> SecretStr | None:
    if row.api_key_env is not None or row.api_key_file is not None:
        return _secret(f"account {row.id}: api_key", row.api_key_env, row.api_key_file, problems)
    if row.id != default:
        problems.append(f"account {row.id}: name api_key_env or api_key_file; only account {default} may go without")
    elif settings.openalgo_api_key is None:
        name = setting_name("openalgo_api_key")
        problems.append(f"{name} is not set: set it or {name}_FILE to the API key that OpenAlgo shows")
    return settings.openalgo_api_key


def _load_accounts(settings: Settings) -> dict[str, SecretStr]:
    key = settings.openalgo_api_key
    if not settings.broker_is_simulator or key is None:
        return {}
    names = [f"load-{number:02}" for number in range(1, settings.simulator.load_accounts + 1)]
    return {name: SecretStr(f"{key.get_secret_value()}-{name}") for name in names}


def _webhook_tokens(rows: PortfolioRows, settings: Settings, problems: list[str]) -> tuple[WebhookToken, ...]:
    default = _route(rows.default.account, rows.default.strategy)
    found = [
        WebhookToken(token=token, route=default)
        for token in (settings.webhook_token, settings.webhook_token_previous)
        if token is not None
    ]
    for row in rows.webhooks:
        token = _secret(f"webhook of {row.account}/{row.strategy}: token", row.token_env, row.token_file, problems)
        if token is not None:
            found.append(WebhookToken(token=token, route=_route(row.account, row.strategy)))
            if len(token.get_secret_value()) < SHORTEST_TOKEN:
                problems.append(
                    f"webhook of {row.account}/{row.strategy}: its token is shorter than {SHORTEST_TOKEN} characters"
                )
    routes: dict[str, Route] = {}
    for entry in found:
        if routes.setdefault(entry.token.get_secret_value(), entry.route) != entry.route:
            problems.append(f"webhook of {entry.route.account}/{entry.route.strategy}: its token is another one's too")
    return tuple(found)


def _secret(what: str, variable: str | None, file: Path | None, problems: list[str]) -> SecretStr | None:
    if variable is not None and file is not None:
        problems.append(f"{what}_env and {what}_file are both given: keep one")
    elif variable is not None:
        if value := os.environ.get(variable):
            return SecretStr(value)
        problems.append(f"{what}_env: {variable} is not set in the environment")
    elif file is not None:
        try:
            return SecretStr(read_secret_file(file))
        except (OSError, ValueError) as error:
            problems.append(f"{what}_file: {file} cannot be used: {error}")
    return None
