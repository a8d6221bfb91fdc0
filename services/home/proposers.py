"""[proposer]: who writes kernels in this home before the grammar, which needs nothing and is always asked last."""

from collections.abc import Callable, Sequence
from pathlib import Path

from metaevo.effects import Policy
from metaevo.errors import BadInput
from metaevo.synthesis.author_prompts import chat_prompt, line_prompt
from metaevo.synthesis.authors import Author, AuthorBudget, Authors, Champion, LanguageModel, Spent, no_author
from metaevo.synthesis.endpoint import Endpoint
from metaevo.synthesis.proposals import Proposer
from metaevo.types import Generation
from services.config.secrets import value_of
from services.config.tables_machine import ProposerTable

PLACE = "metaevo.toml: proposer"
OF_MODELS = ("sends", "calls", "tokens", "answer")
OF_ENDPOINTS = ("model", "key", "timeout", "money", "price")
COMPACT = "tiny"
"""The dialect of models that learn the grammar's own lines: a prompt is not a text of theirs."""
MILLION = 10**6

Writes = Callable[[Generation, int], Policy]
"""Gives a generation as a policy whose samples are drawn from a seed."""


def authors(table: ProposerTable, home: Path, writes: Writes, dialect: str) -> Authors:
    """Return who is asked for a kernel before the grammar, with a cycle's budget less what was spent in it.

    Raises:
        BadInput: Like `check_proposer`.
    """
    check_proposer(table, home)
    if table.use == "grammar":
        return no_author

    def asked(champion: Generation, spent: Spent) -> Sequence[Proposer]:
        author: Author = _champion(table, champion, writes) if table.use == "champion" else _endpoint(table, home)
        budget = AuthorBudget(table.calls, _tokens(table), spent.calls, spent.tokens, spent.failures)
        compact = table.use == "champion" and dialect == COMPACT
        return (LanguageModel(author, budget, table.sends, line_prompt if compact else chat_prompt),)

    return asked


def check_proposer(table: ProposerTable, home: Path, kernels: int | None = None) -> None:
    """Look at who shall write kernels; nobody is asked. ``kernels`` is how many a cycle may write, None: not said.

    Raises:
        BadInput: A key contradicts the choice, an address is refused, or the endpoint's model or key is missing.
    """
    remote = "/" in table.use
    if not remote and table.use not in ("grammar", "champion"):
        raise BadInput(f"{PLACE}.use", "", "want grammar, champion or https://host/v1", given=repr(table.use[:100]))
    given = table.model_fields_set
    for key in (*OF_ENDPOINTS, *OF_MODELS):
        if key in given and not remote and (key in OF_ENDPOINTS or table.use == "grammar"):
            wanted = "an endpoint" if key in OF_ENDPOINTS else "a language model"
            raise BadInput(f"{PLACE}.{key}", f"is for {wanted}", "name one in proposer.use, or drop it")
    for key, other in (("money", "price"), ("price", "money")):
        if key in given and other not in given:
            raise BadInput(f"{PLACE}.{key}", f"says nothing without proposer.{other}", "give both, or drop it")
    if remote:
        if _endpoint(table, home).overheard and table.sends == "rows":
            raise BadInput(
                f"{PLACE}.sends", "they would travel in the clear", "use https, or send code alone", given="'rows'"
            )
        if table.key is not None:
            value_of(table.key, home, f"{PLACE}.key")
    if table.use != "grammar" and kernels == 0:
        raise BadInput(
            f"{PLACE}.use", "nobody is asked while search.kernels is 0", "set that to 1 or more, or drop this"
        )


def _tokens(table: ProposerTable) -> int:
    """Return how many tokens a cycle may take, where they cost money no more than that pays for."""
    if table.money is None or table.price is None:
        return table.tokens
    return min(table.tokens, int(table.money / table.price * MILLION))


def _champion(table: ProposerTable, champion: Generation, writes: Writes) -> Champion:
    more = {} if table.answer is None else {"max_tokens": table.answer}
    return Champion(champion.id, lambda seed: writes(champion, seed), **more)


def _endpoint(table: ProposerTable, home: Path) -> Endpoint:
    if not table.model:
        raise BadInput(f"{PLACE}.model", "is missing", "an endpoint is asked for a model by its name")
    secret, more = table.key, {} if table.answer is None else {"max_tokens": table.answer}
    key = None if secret is None else lambda: value_of(secret, home, f"{PLACE}.key")
    try:
        return Endpoint(table.use, table.model, key, table.timeout, **more)
    except BadInput as error:
        raise error.inside("metaevo.toml") from error
