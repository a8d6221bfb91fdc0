"""Where a home's ledger is: its own file, or the database that [ledger] names; what is wrong is said by its line."""

from pathlib import Path

import pytest

from metaevo.errors import BadInput
from metaevo.ledger.ledger import open_ledger
from services.home.home import Home
from tests.backends import postgres
from tests.faults.cli import BASE

ELSEWHERE = BASE + '[ledger]\nurl = { file = "address" }\n'
ADDRESS = "postgresql+psycopg://me:hunter2@host/base"


def home(path: Path, text: str, address: str = ADDRESS) -> Home:
    made = Home(path / "home")
    made.create(text)
    (made.path / "address").write_text(address + "\n")
    return made


def test_it_is_a_file_of_the_home_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    assert home(tmp_path, BASE).place() == tmp_path / "home" / "metaevo.db"


def test_it_is_the_database_whose_address_a_secret_holds(tmp_path: Path) -> None:
    place = home(tmp_path, ELSEWHERE).place()
    assert not isinstance(place, Path)
    assert (place.url, place.name) == (ADDRESS, "postgresql://host/base")


@pytest.mark.parametrize("address", ["mysql://me:hunter2@host/base", "hunter2", ""])
def test_a_wrong_or_missing_address_is_refused_by_its_line_and_not_repeated(tmp_path: Path, address: str) -> None:
    with pytest.raises(BadInput, match=r"metaevo\.toml:7: ledger\.url: ") as said:
        home(tmp_path, ELSEWHERE, address).place()
    assert "hunter2" not in str(said.value)
    assert str(said.value).count("ledger.url") == 1


def test_a_history_in_the_file_is_never_left_behind_silently(tmp_path: Path) -> None:
    made = home(tmp_path, ELSEWHERE)
    open_ledger(made.path / "metaevo.db", create=True).close()
    with pytest.raises(BadInput, match=r"metaevo\.toml:7: ledger\.url: this home's history is in metaevo\.db; take"):
        made.ledger()


def test_an_address_in_the_configuration_itself_is_refused(tmp_path: Path) -> None:
    made = home(tmp_path, BASE)
    made.config_path.write_text(f'{BASE}[ledger]\nurl = "{ADDRESS}"\n')
    with pytest.raises(BadInput, match=r"a secret is never written here") as said:
        made.place()
    assert "hunter2" not in str(said.value)


def test_what_needs_no_configuration_works_where_the_file_is_broken(tmp_path: Path) -> None:
    made = home(tmp_path, BASE)
    made.config_path.write_text("this is not TOML")
    assert made.place() == made.path / "metaevo.db"


@pytest.mark.full
@pytest.mark.skipif(not postgres.ADDRESS, reason="needs PostgreSQL: . tests/backends/postgres.sh; postgres_up")
def test_a_configuration_that_lost_its_database_does_not_begin_a_second_history(tmp_path: Path) -> None:
    with postgres.temporary() as there:
        made = home(tmp_path, ELSEWHERE, there.url)
        made.ledger(read_only=False, create=True).close()
        assert (made.path / "ledger").read_text() == "postgresql\n"
        made.config_path.write_text(BASE)
        for create in (True, False):
            with pytest.raises(
                BadInput, match=r"ledger: this home's history is in a PostgreSQL database; put \[ledger"
            ):
                made.ledger(read_only=not create, create=create)
        assert not (made.path / "metaevo.db").exists()
        made.config_path.write_text(ELSEWHERE)
        made.ledger().close()
        made.forget()
        assert not (made.path / "ledger").exists()
