"""What came of a module: the generations of every trial that used it."""

from sqlmodel import col, select

from metaevo.ledger.ledger import Ledger
from metaevo.ledger.tables import GenerationRow, RecipeRow, StepRow, TrialRow


def users(ledger: Ledger, module: str) -> list[str]:
    """Return the ids of what came of recipes that used a module (``slot.name``), oldest first.

    That is every generation of a trial whose recipe names it, or in whose journal one of its steps was finished.
    """
    with ledger.read() as session:
        recipes = {row.hash for row in session.exec(select(RecipeRow)) if module in row.modules}
        steps = select(StepRow.cycle, StepRow.trial).where(StepRow.module == module, col(StepRow.digest).is_not(None))
        trials = select(TrialRow.cycle, TrialRow.number).where(col(TrialRow.recipe).in_(recipes))
        where = {*session.exec(steps).all(), *session.exec(trials).all()}
        rows = session.exec(select(GenerationRow).order_by(col(GenerationRow.number))).all()
        return [row.id for row in rows if row.recipe in recipes or (row.cycle, row.trial) in where]
