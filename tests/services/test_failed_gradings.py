"""What rewards did not grade is told with its first distinct causes and their counts, however many events there are."""

from pathlib import Path

from metaevo.ledger.ledger import open_ledger
from services.attention import CAUSES, failed_gradings


def test_distinct_causes_are_counted_over_all_events(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "metaevo.db", create=True)
    for i in range(60):
        note = ("NameError: fold", "timeout", "reward() gave 10.0", f"rare {i}")[i % 4]
        code = "answer_breaks_grader" if i % 4 == 1 else "grader_failed"
        ledger.event(code, f"no {i}", None, environment="mine", note=note, answers=7)
    found = failed_gradings(ledger)
    assert len(found) == CAUSES == 3
    said = {cause.note: cause.answers for cause in found}
    assert said["NameError: fold"] == said["reward() gave 10.0"] == 105
    assert found[0].sentence.startswith("mine: ")
    ledger.close()
