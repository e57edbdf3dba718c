"""The settings tree: every setting once, with its unit and default; loading it and checking it as a whole."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ratchet.broken import Broken
from ratchet.config import checks, home
from ratchet.config.duties import DrainSettings, ExecutionSettings, LeaderSettings
from ratchet.config.fields import Port
from ratchet.config.problems import ENV_PREFIX, ConfigurationError, problems_of_settings
from ratchet.config.sections import (
    BrokerKind,
    BrokerSettings,
    DatabaseSettings,
    HttpSettings,
    OpenAlgoMode,
    RedisSettings,
    SimulatorSettings,
)
from ratchet.config.sources import Presets, SecretFiles, YamlFile


class Preset(StrEnum):
    """A set of defaults."""

    DEFAULT = "default"
    FAST = "fast"
    TEST = "test"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The least important level that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Settings(BaseSettings):
    """Everything that can be set, frozen. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    home: Path = Path(".ratchet")
    """Folder of the embedded mode's files: databases, generated tokens."""
    config_file: Path | None = None
    """A YAML file with the same tree in lower case; the environment is stronger. Secrets do not belong in it."""
    portfolio_file: Path | None = None
    """YAML with accounts, strategies, instruments and limits; unset: the one that is shipped."""
    preset: Preset = Preset.DEFAULT
    """default; fast: a dead leader is followed sooner; test: all waits short, against the simulator only."""

    database_url: SecretStr | None = None
    """postgresql://user:password@host/name or sqlite:///path; unset: embedded mode, SQLite in RATCHET_HOME."""
    database_replica_url: SecretStr | None = None
    """postgresql://… of a read replica, for the lists of the API, which may lag then; unset: the primary."""
    redis_url: SecretStr | None = None
    """redis://host:6379/0; unset: no Redis, at the cost of some latency."""

    openalgo_url: str | None = None
    """Address of OpenAlgo, such as http://openalgo:5000; unset and embedded: the built-in simulator."""
    openalgo_api_key: SecretStr | None = None
    """API key of the default account; embedded with the simulator: generated."""
    openalgo_mode: OpenAlgoMode = OpenAlgoMode.LIVE
    """live or analyze: the mode OpenAlgo must be in."""

    webhook_token: SecretStr | None = None
    """Token in the webhook's address, for the default account and strategy; embedded: generated."""
    webhook_token_previous: SecretStr | None = None
    """The token before it, still accepted while senders change over."""
    api_token: SecretStr | None = None
    """Bearer token of everything but the webhook; embedded: generated."""
    api_token_previous: SecretStr | None = None
    """The token before it, still accepted while callers change over."""

    http_port: Port = 8080
    """Port of the service; 0 takes a free one."""
    url: str | None = None
    """Where the commands find a running service; unset: on this machine, at its port."""
    simulator_port: Port = 0
    """Port of the simulator; 0 takes a free one."""

    log_format: LogFormat = LogFormat.AUTO
    """json, text, or auto: text on a terminal."""
    log_level: LogLevel = LogLevel.INFO
    """The least important level that is logged."""

    failpoints: str = ""
    """Crash points to arm, for tests with the simulator only, such as K8:kill."""
    failpoint_marker: Path | None = None
    """File that gets a line each time an armed crash point fires."""
    broken_build: Broken | None = None
    """A safeguard to leave out, for tests with the simulator only."""

    http: HttpSettings = Field(default_factory=HttpSettings)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    simulator: SimulatorSettings = Field(default_factory=SimulatorSettings)
    execution: ExecutionSettings = Field(default_factory=ExecutionSettings)
    leader: LeaderSettings = Field(default_factory=LeaderSettings)
    drain: DrainSettings = Field(default_factory=DrainSettings)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: arguments, environment, secret files, YAML file, presets, defaults."""
        return init_settings, env_settings, SecretFiles(cls), YamlFile(cls), Presets(cls)

    @property
    def embedded(self) -> bool:
        """Everything in one process on this machine."""
        return self.database_url is None

    @property
    def broker_kind(self) -> BrokerKind:
        """What answers as the broker."""
        if self.broker.kind is not None:
            return self.broker.kind
        return BrokerKind.SIMULATOR if self.embedded and self.openalgo_url is None else BrokerKind.OPENALGO

    @property
    def broker_is_simulator(self) -> bool:
        """No real money can move."""
        return self.broker_kind is BrokerKind.SIMULATOR

    @property
    def database_address(self) -> str:
        """The URL of the database in use; a secret."""
        if self.database_url is None:
            return f"sqlite:///{self.home / 'ratchet.db'}"
        return self.database_url.get_secret_value()

    @property
    def replica_address(self) -> str | None:
        """The URL of the read replica, if there is one; a secret."""
        return None if self.database_replica_url is None else self.database_replica_url.get_secret_value()

    @property
    def simulator_file(self) -> Path:
        """The simulator's SQLite file."""
        return self.simulator.file or self.home / "broker.db"

    def secret_values(self) -> tuple[str, ...]:
        """Return every secret that is set, for redaction."""
        values = (value for _, value in self if isinstance(value, SecretStr))
        return tuple(value.get_secret_value() for value in values)


def load_settings(*, require_tokens: bool = True, **values: Any) -> Settings:
    """Read the settings from arguments, environment, files and presets, and check them together.

    When embedded, missing tokens and the simulator's key are generated into RATCHET_HOME with mode 0600.
    require_tokens: refuse, outside the embedded mode, to go without webhook and API token (a process that serves HTTP).
    Raises ConfigurationError with all problems at once.
    """
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigurationError(problems_of_settings(error)) from None
    problems = checks.problems_of(settings)
    if not settings.embedded and require_tokens:
        problems += checks.missing_tokens(settings)
    if problems:
        raise ConfigurationError(problems)
    return home.with_generated_secrets(settings) if settings.embedded else settings
