"""Fresh databases come with our tables, at the newest revision."""

from ratchet.persistence import migrate


def test_a_fresh_database_is_at_the_newest_revision(database_url: str) -> None:
    assert migrate.check(database_url).ok


def test_another_one_is_made_from_the_same_template(database_url: str) -> None:
    assert migrate.check(database_url).ok
