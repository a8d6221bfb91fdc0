"""The exam's secret and the scheme of splits: facts of a home that nothing but a person's word changes."""

from pathlib import Path

import pytest

from metaevo.errors import BadInput
from metaevo.evolution.bootstrap import SECRET, exam_secret
from metaevo.gate.evidence import Verdict
from objectives.splits import NEWEST, Scheme
from services.home.home import Home
from services.home.open import open_home
from services.reports.why import why_generation
from tests.journeys import small
from tests.journeys.terminal import metaevo

RANDOM = small.CONFIG.replace("secret_seed = 11\n", "")


def secret_of(home: Home) -> str:
    with open_home(home, make=small.engines(), engines=1) as app:
        return app.evolution().secret


def test_a_secret_is_random_whatever_the_seed_and_stands_in_a_file_of_its_own(tmp_path: Path) -> None:
    homes = [small.create(tmp_path / name, RANDOM) for name in ("a", "b")]
    first, second = (secret_of(home) for home in homes)
    assert first != second
    assert secret_of(homes[0]) == first
    file = homes[0].path / SECRET
    assert (file.stat().st_mode & 0o777, file.read_text()) == (0o600, f"{first}\n")
    ledger = b"".join(path.read_bytes() for path in homes[0].path.glob("metaevo.db*"))
    assert first.encode() not in ledger


def test_a_secret_that_is_gone_is_told_and_never_made_anew(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home", RANDOM)
    secret_of(home)
    (home.path / SECRET).unlink()
    with pytest.raises(BadInput, match="the exam's secret is gone; put the file back"):
        secret_of(home)


def test_a_secret_an_old_home_kept_in_its_ledger_moves_into_the_file(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home", RANDOM)
    secret_of(home)
    ledger = home.ledger(read_only=False)
    (home.path / SECRET).unlink()
    ledger.set_meta("secret", "c0ffee")
    assert exam_secret(home.path, ledger, None) == "c0ffee"
    assert ledger.meta("secret") is None
    assert exam_secret(home.path, ledger, None) == "c0ffee"
    ledger.close()


def test_a_named_secret_needs_no_file_and_every_verdict_names_it(tmp_path: Path) -> None:
    one, two = (small.create(tmp_path / name) for name in ("a", "b"))
    assert secret_of(one) == secret_of(two)
    assert not (one.path / SECRET).exists()
    (made,) = small.evolve(one)
    assert made.verdict is not None
    assert made.verdict.evidence.secret_seed == 11
    assert Verdict.from_data(made.verdict.as_data()) == made.verdict
    assert made.candidate is not None
    said = why_generation(one, made.candidate.id).lines
    assert any("drawn from [gate] secret_seed = 11." in line for line in said)


def test_a_home_keeps_the_scheme_it_was_begun_with(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    for said, scheme in ((str(int(NEWEST)), NEWEST), (None, Scheme.NAMED), ("1", Scheme.NAMED)):
        with open_home(home, make=small.engines(), engines=1) as app:
            if said is None:
                app.ledger.drop_meta("splits")
            else:
                app.ledger.set_meta("splits", said)
        with open_home(home, make=small.engines(), engines=1) as app:
            assert (app.host.scheme, app.host.graders.scheme) == (scheme, scheme)


def test_a_person_moves_an_old_home_and_what_was_trained_before_is_not_sealed(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    (made,) = small.evolve(home)
    assert made.candidate is not None
    metaevo("audit", "splits", "--reason", "again", home=home.path, code=4)
    ledger = home.ledger(read_only=False)
    ledger.drop_meta("splits")
    ledger.close()
    assert metaevo("audit", "splits", "--reason", " ", home=home.path, code=2).err.count("say why") == 1
    said = metaevo("--json", "audit", "splits", "--reason", "two files share texts", home=home.path).data
    assert (said["before"], said["scheme"], said["unsealed"]) == (1, 2, made.candidate.id)
    assert any("Not sealed" in line for line in why_generation(home, made.candidate.id).lines)
    with open_home(home, make=small.engines(), engines=1) as app:
        assert app.host.scheme is NEWEST
