"""The ledger in PostgreSQL where it differs from SQLite: one writer, deadlines, what is said, what commits wait for."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from metaevo.errors import BadInput, Busy, StoreError, Unwritable
from metaevo.ledger.ledger import Ledger, forget, is_ledger, open_ledger
from metaevo.ledger.postgres import Postgres
from metaevo.ledger.tables import EventRow, Meta
from tests.backends import postgres

SECRET = "hunter2"


@pytest.fixture
def here() -> Iterator[Postgres]:
    with postgres.temporary() as place:
        yield place


@pytest.fixture
def ledger(here: Postgres) -> Iterator[Ledger]:
    made = open_ledger(here, create=True)
    yield made
    made.close()


def needs_postgres(test: object) -> object:
    for mark in postgres.NEEDED:
        test = mark(test)
    return test


@needs_postgres
def test_a_second_writer_is_told_who_holds_it_and_a_reader_is_not(here: Postgres, ledger: Ledger) -> None:
    with pytest.raises(Busy, match=r"/postgres: held by metaevo \S+:\d+; wait for it, or stop it"):
        open_ledger(here)
    reader = open_ledger(here, read_only=True)
    assert reader.check() == "ok"
    reader.close()
    ledger.close()
    open_ledger(here).close()


@needs_postgres
def test_another_schema_of_the_database_is_another_ledger(ledger: Ledger) -> None:
    with postgres.temporary() as other:
        assert not is_ledger(other)
        mine = open_ledger(other, create=True)
        mine.set_meta("a", "mine")
        assert ledger.meta("a") is None
        mine.close()


@needs_postgres
def test_only_a_forced_commit_waits_for_the_disk(ledger: Ledger) -> None:
    def asked(*, forced: bool) -> object:
        with ledger.transaction(forced=forced) as connection:
            return connection.exec_driver_sql("show synchronous_commit").scalar()

    assert (asked(forced=False), asked(forced=True), asked(forced=False)) == ("off", "on", "off")


@needs_postgres
def test_times_are_utc_whatever_zone_they_come_in(ledger: Ledger) -> None:
    noon = datetime(2027, 1, 12, 12, tzinfo=UTC)
    ledger.now = lambda: noon.astimezone(timezone(timedelta(hours=5, minutes=30)))
    ledger.event("a", "b")
    with ledger.read() as session:
        row = session.get(EventRow, 1)
        shown = session.connection().exec_driver_sql("select at::text from event").scalar()
    assert row is not None
    assert (row.at, row.at.utcoffset(), shown) == (noon, timedelta(0), "2027-01-12 12:00:00+00")


@needs_postgres
def test_a_nul_that_a_model_wrote_costs_no_cycle(ledger: Ledger) -> None:
    ledger.event("a", "it said \0!", None, said="\0")
    with ledger.read() as session:
        row = session.get(EventRow, 1)
    assert row is not None
    assert (row.sentence, row.data) == ("it said \ufffd!", {"said": "\0"})


@needs_postgres
def test_a_lost_connection_is_said_and_the_next_block_works(ledger: Ledger) -> None:
    with ledger.look() as connection:
        pid = connection.exec_driver_sql("select pg_backend_pid()").scalar()
    admin = create_engine(postgres.ADDRESS, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"select pg_terminate_backend({pid})")
    admin.dispose()
    with pytest.raises(Unwritable, match=r"the ledger cannot be written: .*; see to the database"):
        ledger.set_meta("a", "1")
    ledger.set_meta("a", "2")
    assert ledger.meta("a") == "2"


@needs_postgres
def test_tables_of_somebody_else_are_not_taken(here: Postgres) -> None:
    engine = create_engine(here.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table cycle (wheels int)")
    engine.dispose()
    with pytest.raises(BadInput, match="holds a table cycle that is not metaevo's; name an empty schema"):
        open_ledger(here, create=True)
    assert not is_ledger(here)


@needs_postgres
def test_a_ledger_that_was_founded_in_vain_is_removed_by_its_writer(here: Postgres, ledger: Ledger) -> None:
    ledger.set_meta("a", "1")
    forget(here)
    assert not is_ledger(here)


@needs_postgres
def test_a_database_that_is_not_there_is_said_without_its_secret(here: Postgres) -> None:
    url = make_url(here.url).set(password=SECRET, database="nowhere")
    with pytest.raises(Unwritable, match=r"/nowhere: cannot be reached: .*; start it, or fix ledger.url") as said:
        open_ledger(Postgres(url.render_as_string(hide_password=False)))
    assert SECRET not in str(said.value)
    assert "\n" not in str(said.value)


@needs_postgres
def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(Unwritable, match=r"cannot be reached"):
        open_ledger(Postgres(f"postgresql+psycopg://me:{SECRET}@/a?host={tmp_path}"))


@needs_postgres
def test_a_missing_ledger_is_not_made_by_accident(here: Postgres) -> None:
    with pytest.raises(BadInput, match=r"no ledger here; create a home"):
        open_ledger(here)
    assert not is_ledger(here)


@needs_postgres
def test_what_breaks_a_rule_is_refused_and_nothing_of_it_stays(ledger: Ledger) -> None:
    def half() -> None:
        with ledger.write() as session:
            session.add(Meta(key="a", value="1"))
            session.flush()
            session.connection().exec_driver_sql("insert into meta (key, value) values ('a', '2')")

    with pytest.raises(StoreError, match="unique constraint"):
        half()
    assert ledger.meta("a") is None


@pytest.mark.parametrize("url", ["mysql://a/b", "postgresql+asyncpg://a/b", "a word", "", "postgresql+psycopg://host"])
def test_another_kind_of_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadInput, match=r"ledger.url: no address of a database; want postgresql") as said:
        Postgres(url)
    assert not url or url not in str(said.value)


@pytest.mark.parametrize("rest", ["me:ses@me:same@127.0.0.1:1/x", "me@h:ses/x", "me@[::ses/x", "me/ses:99@h/x"])
def test_a_piece_of_a_password_that_is_not_escaped_is_not_repeated(rest: str) -> None:
    with pytest.raises(BadInput, match=r"ledger.url: no address of a database; want postgresql") as said:
        Postgres(f"postgresql+psycopg://{rest}")
    assert "ses" not in str(said.value)


def test_a_name_that_no_database_has_is_not_shown() -> None:
    assert Postgres("postgresql+psycopg://me/ses%20same:99").name == "its database"


@needs_postgres
@pytest.mark.parametrize("option", ["connect_timeout=ses", "sesame=1", "autocommit=ses", "cursor_factory=ses"])
def test_an_option_that_psycopg_does_not_know_is_bad_input_and_not_repeated(here: Postgres, option: str) -> None:
    with pytest.raises(BadInput, match=r"ledger\.url: an option of the address is unknown or wrong; see") as said:
        open_ledger(Postgres(f"{here.url}&{option}"))
    assert "ses" not in str(said.value)


def test_an_address_is_never_shown() -> None:
    place = Postgres(f"postgresql+psycopg://me:{SECRET}@host:5433/base?password={SECRET}")
    assert (place.name, repr(place)) == ("postgresql://host:5433/base", "Postgres()")


def test_without_psycopg_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from metaevo.ledger.ledger import open_ledger; from metaevo.ledger.postgres import Postgres\n"
        "try: open_ledger(Postgres('postgresql+psycopg://host/base'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "BadInput ledger.url: PostgreSQL needs psycopg; pip install 'metaevo[postgres]'"
