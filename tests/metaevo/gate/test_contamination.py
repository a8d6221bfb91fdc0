"""The guard `contamination`: what was trained on although the door would refuse it is a veto, with row and reason."""

from pathlib import Path

from metaevo.gate.case import Case
from metaevo.gate.guards.contamination import contamination
from metaevo.ledger.journal import Journal
from metaevo.runtime.manifest import Manifest
from metaevo.testing.effects import attempt
from metaevo.types import Experience, Generation
from objectives.splits import NEWEST
from objectives.types import Cell, Message, Split, Task
from services.home.open import open_home
from tests.journeys import small


def row(text: str) -> Experience:
    return Experience(attempt("a", Task(text, "sorting", 4, Split.TRAIN, (Message("user", text),))))


def test_a_row_that_came_past_the_door_is_a_veto_also_of_an_earlier_stage(tmp_path: Path) -> None:
    home = small.create(tmp_path / "home")
    with open_home(home, make=small.engines(), engines=1) as app:
        host, base = app.host, app.host.lineage.get("base")
        exam = app.evolution().tools(Journal(app.ledger, host.store, 1)).exam(1)
        texts = [task.text for split in Split for task in host.graders.draw("sorting", 4, split, 3, 0, 6).tasks]
        train = [text for text in texts if NEWEST.split("sorting", text) is Split.TRAIN]

        def made(id_: str, start: str, rows: list[str]) -> str:
            data = exam.shelf.write(tuple(map(row, rows)))
            known = Manifest(id=id_, parent=base.id, start=start, parts=base.parts, data=data, runtime="r", probes=())
            digest = host.store.put(known.as_data())
            host.lineage.publish(Generation(id_, base.id, base.parts), manifest=digest, data=data)
            return digest

        ids = host.lineage.reserve(1, 1, 3, base.id)

        def asked(manifest: str) -> Case:
            return Case(base, base, base, (Cell("sorting", 4),), (), 0.1, 1, manifest)

        clean = contamination(exam, asked(made(ids[0], base.id, train)))
        assert (clean.ok, clean.numbers["rows"]) == (True, len(train))
        leaky = made(ids[1], base.id, texts)
        for manifest in (leaky, made(ids[2], ids[1], train)):
            found = contamination(exam, asked(manifest))
            assert not found.ok
            assert found.numbers["leaked"] == len(texts) - len(train) == 30
            assert found.numbers["why"] == "exam item of sorting"
