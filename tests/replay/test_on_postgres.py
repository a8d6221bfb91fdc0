"""The story with its ledger in PostgreSQL says what was recorded, and asks every question of the ledger there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.backends import postgres
from tests.replay.on_postgres import questions
from tests.replay.record import RECORDED
from tests.replay.test_recorded import differences

pytestmark = [*postgres.NEEDED, pytest.mark.timeout(1800)]
ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ("held", "refused", "written")
"""Together they ask nearly everything; the others would take as long again."""
NO_QUESTIONS = {
    "journal:Journal.stream": "reads nothing",
    "steps:phase_of": "reads nothing",
    "generation_queries:unreadable_verdict": "reads nothing",
    "ledger:forget": "tests/metaevo/ledger/test_postgres.py calls it",
    "epochs:next_epoch": "reads the newest epoch, which is asked here",
}
"""Public functions that need not be called here, and why."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Each chapter's lines and the functions it called."""
    found, place = {}, tmp_path_factory.mktemp("story")
    for chapter in CHAPTERS:
        with postgres.temporary() as ledger:
            done = subprocess.run(
                [sys.executable, "-m", "tests.replay.on_postgres", chapter, str(place / chapter)],
                cwd=ROOT,
                env=os.environ | {"METAEVO_TEST_LEDGER": ledger.url},
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stderr[-3000:]
        found[chapter] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_says_on_postgres_what_was_recorded_on_sqlite(chapter: str, story: dict[str, Any]) -> None:
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))[chapter]
    said = differences(recorded, story[chapter]["lines"])
    assert not said, "\n".join(said[:60])


def test_every_question_of_the_ledger_was_asked_on_postgres(story: dict[str, Any]) -> None:
    called = {name for chapter in story.values() for name in chapter["called"]}
    never = questions() - called - NO_QUESTIONS.keys()
    assert not never, f"never called on PostgreSQL: {', '.join(sorted(never))}"
    assert questions() > NO_QUESTIONS.keys()
