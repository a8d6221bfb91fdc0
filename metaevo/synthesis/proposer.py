"""The proposer that needs no model: the typed grammar, always and offline. Language models are in `authors`."""

from dataclasses import dataclass
from random import Random

from metaevo.synthesis import grammar
from metaevo.synthesis.archive import Candidate, Elite
from metaevo.synthesis.proposals import NoProposal, NoProposalReason, Outcome, Proposed, Request
from metaevo.synthesis.reply import count_tokens
from metaevo.synthesis.tree import Tree, canonical, from_json, source, to_json

TRIES = 20


def candidate_of(tree: Tree, parents: tuple[Elite, ...] = ()) -> Candidate:
    """Return the candidate that a tree is, in its canonical form."""
    form = canonical(tree)
    text = source(form)
    saw = any(parent.candidate.saw_rows for parent in parents)
    named = tuple(parent.candidate.id for parent in parents)
    return Candidate(
        kind=form.op,
        source=text,
        size=count_tokens(text),
        by="grammar",
        tree=to_json(form),
        parents=named,
        saw_rows=saw,
    )


@dataclass(frozen=True, slots=True)
class Grammar:
    """The proposer that needs no model: grows, mutates or crosses trees. Parents without a tree are passed over."""

    fresh: float = 0.2
    """Share of proposals grown at random although there are parents."""
    crossed: float = 0.4
    """Share of the others that are crossings, where there are two parents."""

    @property
    def name(self) -> str:
        """Return grammar."""
        return "grammar"

    def propose(self, request: Request, rng: Random) -> Outcome:
        """Return a candidate that is not known, or the refusal `known` after TRIES of them were."""
        parents = tuple(parent for parent in request.parents if parent.candidate.tree is not None)
        for _ in range(TRIES):
            candidate = self._made(request.kind, parents, rng)
            if candidate.id not in request.known:
                return Proposed(candidate)
        return NoProposal(self.name, NoProposalReason.KNOWN, f"{TRIES} in a row were known")

    def _made(self, kind: str, parents: tuple[Elite, ...], rng: Random) -> Candidate:
        if not parents or rng.random() < self.fresh:
            return candidate_of(grammar.grow(kind, rng))
        used = (
            tuple(rng.sample(parents, min(2, len(parents)))) if rng.random() < self.crossed else (rng.choice(parents),)
        )
        first, *others = [from_json(parent.candidate.tree) for parent in used]
        changed = grammar.cross(first, others[0], rng) if others else grammar.mutate(first, rng)
        return candidate_of(changed, used)
