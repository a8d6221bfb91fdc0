"""[proposer]: who writes kernels in this home, in turn. The grammar needs nothing and is always asked last."""

from collections.abc import Callable
from pathlib import Path

from metaevo.effects import Policy
from metaevo.errors import BadInput
from metaevo.synthesis.endpoint import Endpoint
from metaevo.synthesis.proposals import Cost, Proposer
from metaevo.synthesis.proposer import Author, Budget, Champion, Grammar, LanguageModel
from services.secrets import value_of
from services.settings_machine import ProposerTable

PLACE = "metaevo.toml: proposer"
NOTHING = Cost()
OF_MODELS = ("sends", "calls", "tokens", "answer")
OF_ENDPOINTS = ("model", "key", "timeout")


def proposers(
    table: ProposerTable, home: Path, champion: Callable[[], Policy], spent: Cost = NOTHING
) -> tuple[Proposer, ...]:
    """Return who is asked for a kernel in one cycle, in turn, with that cycle's budget.

    ``champion`` gives the policy that writes where the champion is asked; ``spent`` is what a resumed cycle used.

    Raises:
        BadInput: Like `checked`.
    """
    checked(table, home)
    if table.use == "grammar":
        return (Grammar(),)
    author: Author = _champion(table, champion()) if table.use == "champion" else _endpoint(table, home)
    budget = Budget(table.calls, table.tokens, spent.calls, spent.tokens)
    return LanguageModel(author, budget, table.sends), Grammar()


def checked(table: ProposerTable, home: Path) -> None:
    """Look at who shall write kernels; nobody is asked.

    Raises:
        BadInput: A key contradicts the choice, an address is refused, or the endpoint's model or key is missing.
    """
    remote = "/" in table.use
    if not remote and table.use not in ("grammar", "champion"):
        raise BadInput(f"{PLACE}.use = {table.use[:100]!r}: want grammar, champion or https://host/v1")
    given = table.model_fields_set
    for key in (*OF_ENDPOINTS, *OF_MODELS):
        if key in given and not remote and (key in OF_ENDPOINTS or table.use == "grammar"):
            wanted = "an endpoint" if key in OF_ENDPOINTS else "a language model"
            raise BadInput(f"{PLACE}.{key}: is for {wanted}; name one in proposer.use, or drop it")
    if remote:
        _endpoint(table, home)
        if table.key is not None:
            value_of(table.key, home, f"{PLACE}.key")


def _champion(table: ProposerTable, policy: Policy) -> Champion:
    return Champion(policy) if table.answer is None else Champion(policy, table.answer)


def _endpoint(table: ProposerTable, home: Path) -> Endpoint:
    if not table.model:
        raise BadInput(f"{PLACE}.model: is missing; an endpoint is asked for a model by its name")
    secret, more = table.key, {} if table.answer is None else {"max_tokens": table.answer}
    key = None if secret is None else lambda: value_of(secret, home, f"{PLACE}.key")
    try:
        return Endpoint(table.use, table.model, key, table.timeout, **more)
    except BadInput as error:
        raise BadInput(f"metaevo.toml: {error}") from error
