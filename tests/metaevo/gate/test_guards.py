"""Guards are found by being in their folder; a file that is no guard would be a veto nobody asks."""

from inspect import signature
from pathlib import Path

from metaevo.gate import guards as folder
from metaevo.gate.guards import guards


def test_every_file_of_the_folder_is_a_guard_with_a_name_of_its_own() -> None:
    files = {path.stem for path in Path(folder.__file__).parent.glob("*.py")} - {"__init__"}
    found = guards()
    assert [guard.judge.__name__ for guard in found] == sorted(files)
    assert [guard.name for guard in found] == ["servable artifact", "contamination", "cost per answer", "answer_tokens"]
    assert all(list(signature(guard.judge).parameters) == ["exam", "case"] for guard in found)
