"""Which database a URL names."""

from pathlib import Path

import pytest

from ratchet.persistence.options import DatabaseOptions


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("postgresql://u:p@h/d", "postgresql"),
        ("postgres://h/d", "postgresql"),
        ("postgresql+asyncpg://h/d", "postgresql"),
        ("sqlite:///ratchet.db", "sqlite"),
    ],
)
def test_the_scheme_names_the_database(url: str, dialect: str) -> None:
    assert DatabaseOptions(url=url).dialect == dialect


def test_a_driver_s_name_is_left_out_for_the_server() -> None:
    for scheme in ("postgresql", "postgres", "postgresql+asyncpg"):
        assert (
            DatabaseOptions(url=f"{scheme}://u:p@h:1/d?sslmode=require").dsn == "postgresql://u:p@h:1/d?sslmode=require"
        )


def test_any_other_database_is_refused() -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        _ = DatabaseOptions(url="mysql://h/d").dialect


def test_a_sqlite_database_is_a_file() -> None:
    assert DatabaseOptions(url="sqlite:////var/ratchet.db").file == Path("/var/ratchet.db")
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(ValueError, match="file"):
            _ = DatabaseOptions(url=url).file
