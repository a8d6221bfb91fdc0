"""What needs a person: one closed list of codes, each with a severity, a sentence and a command.

A rejected candidate, a hold, "no improvement, because…" never call anyone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from metaevo.errors import ModuleFailed, StoreError
from metaevo.gate.evidence import Verdict
from metaevo.gate.starved import starved_of
from metaevo.ledger import queries
from metaevo.ledger.integrity import lost_aliases
from metaevo.ledger.ledger import Ledger
from metaevo.registry.laws import unlawful_modules
from metaevo.registry.registry import Registry
from metaevo.types import CycleEnd
from objectives.types import JsonValue
from services.config.tables import Config
from services.config.unsupported import unsupported_keys
from services.home.home import LEAST_FREE, Home
from services.records.status import AttentionItem

CODES: dict[str, tuple[Literal["page", "ticket"], str]] = {
    "disk_low": ("page", "metaevo doctor"),
    "ledger_damaged": ("page", "metaevo fsck"),
    "infrastructure": ("page", "metaevo doctor"),
    "config_invalid": ("ticket", "metaevo config check"),
    "module_broken": ("ticket", "metaevo modules list"),
    "grader_failed": ("ticket", "metaevo environments check"),
    "few_proposals": ("ticket", "metaevo modules list"),
    "needs_rows": ("ticket", "metaevo environments check"),
    "gate_starved": ("ticket", "metaevo config check"),
}
"""Code to (severity, command)."""
FAILED_IN_A_ROW = 3
STARVED_IN_A_ROW = 3
"""Examinations after which a gate that could not have proven anything calls a person."""
LOOKED_BACK, CAUSES = 500, 3
"""Newest events of failed gradings that are read, and distinct causes that are named."""


def needed_attention(ledger: Ledger, config: Config, home: Home) -> tuple[AttentionItem, ...]:
    """Return what needs a person now."""
    import shutil

    found: list[AttentionItem] = []
    free = shutil.disk_usage(home.path).free
    if free < 2 * LEAST_FREE:
        found.append(entry("disk_low", None, f"{free // 2**20} MiB are free in {home.path}"))
    for alias, generation in lost_aliases(ledger).items():
        found.append(entry("ledger_damaged", None, f"{alias} points to {generation}, which is no generation"))
    found += [entry("config_invalid", None, str(error)) for error in unsupported_keys(config, home.text)]
    recent = queries.newest_closed(ledger, FAILED_IN_A_ROW)
    if len(recent) == FAILED_IN_A_ROW and all(cycle.ending == CycleEnd.INFRASTRUCTURE for cycle in recent):
        since = recent[-1].closed_at
        text = f"the last {FAILED_IN_A_ROW} cycles ended for infrastructure: {recent[0].why[:160]}"
        found.append(entry("infrastructure", since.isoformat() if since else None, text))
    failed = failed_gradings(ledger)
    if failed:
        found.append(entry("grader_failed", failed[0].since, "; ".join(cause.sentence for cause in failed)))
    told = next(iter(queries.events(ledger, 1, code="few_proposals")), None)
    if told is not None and (not recent or told.at >= recent[0].opened_at):
        found.append(entry("few_proposals", told.at.isoformat(), told.sentence))
    found += needed_rows(ledger)
    lacked = [starved(data) for data in queries.newest_verdicts(ledger, STARVED_IN_A_ROW)]
    if len(lacked) == STARVED_IN_A_ROW and all(lacked):
        text = f"the last {STARVED_IN_A_ROW} examinations could not have proven anything: {lacked[0]}"
        found.append(entry("gate_starved", None, text))
    try:
        broken = list(unlawful_modules(Registry(home.path)).values())
    except ModuleFailed as error:  # two modules of one name: neither can be listed
        broken = [str(error)]
    return (*found, *(entry("module_broken", None, said) for said in broken))


def needed_rows(ledger: Ledger) -> list[AttentionItem]:
    """Return the cells whose exam sample was used up when the newest cycle looked, with the rows that renew it."""
    newest = max((cycle.number for cycle in queries.newest_closed(ledger)), default=0)
    told = [told for told in queries.events(ledger, LOOKED_BACK, code="needs_rows") if (told.cycle or 0) >= newest]
    since = {told.sentence: told.at.isoformat() for told in told}
    return [entry("needs_rows", at, sentence) for sentence, at in since.items()]


def starved(data: Mapping[str, JsonValue]) -> str:
    """Return what an examination lacked; empty where nothing, or where its verdict cannot be read (fsck tells that)."""
    try:
        return starved_of(Verdict.from_data(data))
    except StoreError:
        return ""


@dataclass(frozen=True, slots=True)
class FailedGradings:
    """Answers that an environment's reward did not grade for one reason, and since when."""

    environment: str
    note: str
    answers: int
    since: str

    @property
    def sentence(self) -> str:
        """Return it as people are told."""
        return f"{self.environment}: {self.answers} answers were not graded ({self.note})"


def failed_gradings(ledger: Ledger) -> list[FailedGradings]:
    """Return the first distinct causes for which grading failed since the newest closed cycle began, with counts."""
    recent = queries.newest_closed(ledger)
    causes: dict[tuple[str, str], FailedGradings] = {}
    for code in ("grader_failed", "answer_breaks_grader"):
        for told in queries.events(ledger, LOOKED_BACK, code=code):
            if recent and told.at < recent[0].opened_at:
                continue
            place, note = str(told.data.get("environment")), str(told.data.get("note"))[:160]
            known = causes.get((place, note)) or FailedGradings(place, note, 0, told.at.isoformat())
            answers = known.answers + int(told.data.get("answers", 1))
            causes[place, note] = replace(known, answers=answers)
    return list(causes.values())[:CAUSES]


def entry(code: str, since: str | None, sentence: str) -> AttentionItem:
    """Return one line of attention."""
    severity, command = CODES[code]
    return AttentionItem(code=code, severity=severity, since=since, sentence=sentence, command=command)
