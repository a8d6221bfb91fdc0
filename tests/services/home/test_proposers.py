"""[proposer]: who is asked for kernels, in turn; what each key does; a contradiction is one line with the way out."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metaevo.errors import BadInput
from metaevo.synthesis.author_prompts import chat_prompt, line_prompt
from metaevo.synthesis.authors import Champion, LanguageModel, Spent, no_author
from metaevo.synthesis.endpoint import Endpoint
from metaevo.synthesis.proposals import NoProposal, NoProposalReason, Proposed, Request
from metaevo.testing import EchoPolicy
from metaevo.testing.endpoint import Say, ScriptedEndpoint
from metaevo.types import Generation
from services.config.fields import Secret
from services.config.read import parse
from services.config.secrets import value_of
from services.config.tables_machine import ProposerTable
from services.home.proposers import authors, check_proposer

HTTPS = 'use = "https://models.internal/v1"\nmodel = "writer"\n'
CHAMPION = Generation("g000004", "g000000", {"policy": "p"})
GOOD = "def keep(row):\n    return row['level'] < 3\n"


def table(text: str) -> ProposerTable:
    return parse(f'[model]\nbase = "builtin:tiny"\n[proposer]\n{text}').proposer


def writes(generation: Generation, seed: int) -> EchoPolicy:
    assert generation is CHAMPION
    return EchoPolicy(str(seed))


def asked(text: str, home: Path, spent: Spent = Spent(), dialect: str = "english") -> LanguageModel:  # noqa: B008
    (model,) = authors(table(text), home, writes, dialect)(CHAMPION, spent)
    assert isinstance(model, LanguageModel)
    return model


@pytest.mark.parametrize("text", ["", 'use = "grammar"\n'])
def test_without_a_word_the_grammar_is_alone(tmp_path: Path, text: str) -> None:
    assert authors(table(text), tmp_path, writes, "english") is no_author


def test_the_champion_writes_within_what_is_left_of_the_budget(tmp_path: Path) -> None:
    text = 'use = "champion"\nsends = "rows"\ncalls = 3\ntokens = 900\nanswer = 77\n'
    model = asked(text, tmp_path, Spent(2, 100, 1))
    author = model.author
    assert isinstance(author, Champion)
    assert (author.name, author.model, author.max_tokens, author.policy(7)) == (
        *("champion", "g000004"),
        *(77, EchoPolicy("7")),
    )
    budget = model.budget
    assert (model.sends, budget.calls, budget.tokens) == ("rows", 3, 900)
    assert (budget.spent_calls, budget.spent_tokens, budget.failures) == (2, 100, 1)


def test_only_a_champion_of_the_compact_dialect_is_asked_in_lines(tmp_path: Path) -> None:
    assert asked('use = "champion"\n', tmp_path, dialect="tiny").asks is line_prompt
    assert asked('use = "champion"\n', tmp_path).asks is chat_prompt
    assert asked(HTTPS, tmp_path, dialect="tiny").asks is chat_prompt


def test_an_endpoint_gets_what_the_table_says_and_code_alone_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WRITER_KEY", "first")
    model = asked(HTTPS + 'key = { env = "WRITER_KEY" }\ntimeout = "9s"\nanswer = 300\n', tmp_path)
    author = model.author
    assert isinstance(author, Endpoint)
    assert (author.url, author.model, author.timeout_s, author.max_tokens) == (
        *("https://models.internal/v1", "writer"),
        *(9.0, 300),
    )
    assert model.sends == "code"
    assert author.key is not None
    assert author.key() == "first"
    monkeypatch.setenv("WRITER_KEY", "second")
    assert author.key() == "second"  # looked up at each call
    assert "first" not in repr(author)


def test_defaults_are_those_of_the_author_and_each_cycle_has_a_budget_of_its_own(tmp_path: Path) -> None:
    one, other = asked(HTTPS, tmp_path), asked(HTTPS, tmp_path)
    assert isinstance(one.author, Endpoint)
    assert (one.author.max_tokens, one.author.timeout_s, one.author.key) == (1024, 60.0, None)
    assert (one.budget.calls, one.budget.tokens) == (16, 100_000)
    assert one.budget is not other.budget


class Server:
    """A home with a key, beside an endpoint that answers well, or as ``say`` says."""

    def __init__(self, home: Path, say: Say = Say(GOOD, tokens=40)) -> None:  # noqa: B008
        (home / "key").write_text("secret")
        self.home, self.say = home, say

    def ask(self, text: str, times: int = 1) -> tuple[list[Any], list[dict[str, Any]], list[dict[str, str]]]:
        """Return what was proposed, and the bodies and headers the endpoint heard, under these lines of the table."""
        with ScriptedEndpoint([self.say]) as server:
            said = f'use = "{server.url}"\nmodel = "writer"\n' if "use =" not in text else ""
            model = asked(said + text, self.home)
            request = Request("keep", rows=({"prompt": "PRIVATE", "level": 3},))
            made = [model.propose(request, Random(at)) for at in range(times)]
            return made, [json.loads(one.body) for one in server.heard], [one.headers for one in server.heard]


def effect_of_use(server: Server) -> None:
    made, heard, _ = server.ask("")
    assert (made[0].candidate.by, len(heard)) == ("endpoint", 1)
    made, heard, _ = server.ask('use = "champion"\n')
    assert (made[0].by, len(heard)) == ("champion", 0)


def effect_of_sends(server: Server) -> None:
    for said, there in (("", False), ('sends = "code"\n', False), ('sends = "rows"\n', True)):
        made, heard, _ = server.ask(said)
        assert (("PRIVATE" in heard[0]["messages"][0]["content"]), made[0].candidate.saw_rows) == (there, there)


def effect_of_model(server: Server) -> None:
    made, heard, _ = server.ask("")
    assert (heard[0]["model"], made[0].candidate.model) == ("writer", "writer")


def effect_of_key(server: Server) -> None:
    assert "Authorization" not in server.ask("")[2][0]
    assert server.ask('key = { file = "key" }\n')[2][0]["Authorization"] == "Bearer secret"


def effect_of_calls(server: Server) -> None:
    made, heard, _ = server.ask("calls = 2\n", 4)
    assert len(heard) == 2
    assert [isinstance(one, Proposed) for one in made] == [True, True, False, False]


def most(server: Server) -> int:
    """Return the most that one call may take, with answers of ten tokens."""
    return len(server.ask("")[1][0]["messages"][0]["content"]) + 10


def effect_of_tokens(server: Server) -> None:
    for said, calls in ((most(server), 1), (most(server) + 39, 1), (most(server) + 40, 2)):
        assert len(server.ask(f"answer = 10\ntokens = {said}\n", 4)[1]) == calls


def effect_of_money(server: Server) -> None:
    two = (most(server) + 40) * 3e-6
    for money, calls in ((two * 1.001, 2), (two * 0.999, 1)):
        made, heard, _ = server.ask(f"answer = 10\nprice = 3.0\nmoney = {money}\n", 4)
        assert (len(heard), made[-1].reason) == (calls, NoProposalReason.BUDGET)


def effect_of_price(server: Server) -> None:
    heard = [len(server.ask(f"answer = 10\nmoney = 0.001\nprice = {price}\n", 4)[1]) for price in (1.0, 9.0)]
    assert heard[0] > heard[1]


def effect_of_answer(server: Server) -> None:
    assert [server.ask(said)[1][0]["max_tokens"] for said in ("", "answer = 77\n")] == [1024, 77]


def effect_of_timeout(server: Server) -> None:
    server.say = Say(GOOD, delay_s=1.0)
    (late,), (fine,) = server.ask('timeout = "0.2s"\n')[0], server.ask('timeout = "30s"\n')[0]
    assert isinstance(late, NoProposal)
    assert late.reason is NoProposalReason.TIMEOUT
    assert isinstance(fine, Proposed)


EFFECTS: dict[str, Callable[[Server], None]] = {
    name.removeprefix("effect_of_"): test for name, test in list(globals().items()) if name.startswith("effect_of_")
}


@pytest.mark.parametrize("key", ProposerTable.model_fields)
def test_every_key_does_something(tmp_path: Path, key: str) -> None:
    EFFECTS[key](Server(tmp_path))


def test_a_key_that_goes_away_while_a_cycle_runs_is_no_end_of_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret")
    model = asked(HTTPS + 'key = { file = "key" }\n', tmp_path)
    (tmp_path / "key").unlink()
    outcome = model.propose(Request("keep"), Random(1))
    assert isinstance(outcome, NoProposal)
    assert (outcome.reason, outcome.infrastructure, "proposer.key" in outcome.detail) == (
        NoProposalReason.KEY,
        True,
        True,
    )


def test_an_author_that_nobody_would_ask_is_refused(tmp_path: Path) -> None:
    check_proposer(table('use = "champion"\n'), tmp_path, kernels=1)
    check_proposer(table(""), tmp_path, kernels=0)
    why = r"proposer\.use: nobody is asked while search\.kernels is 0; set that to 1 or more, or drop this$"
    with pytest.raises(BadInput, match=why):
        check_proposer(table('use = "champion"\n'), tmp_path, kernels=0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('use = "grammer"\n', r"^metaevo\.toml: proposer\.use = 'grammer': want grammar, champion or https://host/v1$"),
        ('sends = "rows"\n', r"proposer\.sends: is for a language model; name one in proposer\.use, or drop it"),
        ("calls = 3\n", r"proposer\.calls: is for a language model"),
        ("tokens = 3\n", r"proposer\.tokens: is for a language model"),
        ("answer = 3\n", r"proposer\.answer: is for a language model"),
        ('timeout = "3s"\n', r"proposer\.timeout: is for an endpoint"),
        (HTTPS + "money = 3\n", r"proposer\.money: says nothing without proposer\.price; give both, or drop it"),
        (HTTPS + "price = 3\n", r"proposer\.price: says nothing without proposer\.money"),
        ('use = "champion"\nprice = 3\n', r"proposer\.price: is for an endpoint"),
        ('use = "champion"\nmodel = "x"\n', r"proposer\.model: is for an endpoint; name one in proposer\.use"),
        ('use = "champion"\nkey = { env = "X" }\n', r"proposer\.key: is for an endpoint"),
        ('use = "https://h/v1"\n', r"proposer\.model: is missing; an endpoint is asked for a model by its name"),
        ('use = "ftp://h/v1"\nmodel = "x"\n', r"^metaevo\.toml: proposer\.use = 'ftp://h/v1': no address; write"),
        (
            'use = "http://far.internal/v1"\nmodel = "x"\nsends = "rows"\n',
            r"^metaevo\.toml: proposer\.sends = 'rows': they would travel in the clear; use https, or send code alone$",
        ),
        (
            'use = "http://far.internal/v1"\nmodel = "x"\nkey = { env = "X" }\n',
            r"proposer\.use: the key would travel to far\.internal in the clear; use https",
        ),
        (
            HTTPS + 'key = { env = "NO_SUCH_KEY" }\n',
            r"^metaevo\.toml: proposer\.key: environment variable NO_SUCH_KEY is missing, unreadable or empty; put",
        ),
    ],
)
def test_what_contradicts_or_is_missing_is_one_line(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(BadInput, match=why) as caught:
        check_proposer(table(text), tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match=why):
        authors(table(text), tmp_path, writes, "english")


def test_a_password_in_the_address_and_a_key_in_the_file_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as address:
        check_proposer(table('use = "https://me:hunter2@h/v1"\nmodel = "x"\n'), tmp_path)
    with pytest.raises(BadInput) as key:
        table(HTTPS + 'key = "hunter2"\n')
    assert "hunter2" not in str(address.value) + str(key.value)
    assert "a secret is never written here" in str(key.value)


def test_secrets_are_found_in_variables_files_and_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file\n")
    (tmp_path / "empty").write_text(" \n")
    monkeypatch.setenv("KEY", "from a variable")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    assert value_of(Secret(file="key"), tmp_path, "here") == "from a file"
    assert value_of(Secret(env="KEY"), tmp_path, "here") == "from a variable"
    for secret, named in (
        (Secret(file="empty"), "file "),
        (Secret(file="none"), "file "),
        (Secret(credential="key"), "credential key"),
        (Secret(env="NO_SUCH_KEY"), "environment variable NO_SUCH_KEY"),
    ):
        with pytest.raises(BadInput, match=f"^here: {named}"):
            value_of(secret, tmp_path, "here")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert value_of(Secret(credential="key"), tmp_path, "here") == "from a file"
