"""[proposer]: who is asked for kernels, in turn; every contradiction is one line with the key and the way out."""

from pathlib import Path

import pytest

from metaevo.errors import BadInput
from metaevo.synthesis.endpoint import Endpoint
from metaevo.synthesis.proposals import Cost
from metaevo.synthesis.proposer import Champion, Grammar, LanguageModel
from metaevo.testing import ScriptedEngine
from services.config import parse
from services.proposers import checked, proposers
from services.secrets import value_of
from services.settings_machine import ProposerTable
from services.settings_types import Secret

HTTPS = 'use = "https://models.internal/v1"\nmodel = "writer"\n'


def table(text: str) -> ProposerTable:
    return parse(f'[model]\nbase = "builtin:tiny"\n[proposer]\n{text}').proposer


def no_champion() -> ScriptedEngine:
    raise AssertionError("nobody asked for the champion")


def asked(text: str, home: Path, spent: Cost = Cost(0, 0)) -> LanguageModel:  # noqa: B008
    model, last = proposers(table(text), home, no_champion, spent)  # type: ignore[arg-type]
    assert isinstance(last, Grammar)
    assert isinstance(model, LanguageModel)
    return model


@pytest.mark.parametrize("text", ["", 'use = "grammar"\n'])
def test_without_a_word_the_grammar_is_alone(tmp_path: Path, text: str) -> None:
    assert proposers(table(text), tmp_path, no_champion) == (Grammar(),)  # type: ignore[arg-type]


def test_the_champion_writes_first_within_the_budget_and_the_grammar_is_last(tmp_path: Path) -> None:
    policy = object()
    text = 'use = "champion"\nsends = "rows"\ncalls = 3\ntokens = 900\nanswer = 77\n'
    model, last = proposers(table(text), tmp_path, lambda: policy, Cost(2, 100))  # type: ignore[arg-type,return-value]
    assert isinstance(last, Grammar)
    assert isinstance(model, LanguageModel)
    assert model.author == Champion(policy, 77)  # type: ignore[arg-type]
    assert (model.name, model.sends) == ("champion", "rows")
    budget = model.budget
    assert (budget.calls, budget.tokens, budget.spent_calls, budget.spent_tokens) == (3, 900, 2, 100)


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


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('use = "grammer"\n', r"^metaevo\.toml: proposer\.use = 'grammer': want grammar, champion or https://host/v1$"),
        ('sends = "rows"\n', r"proposer\.sends: is for a language model; name one in proposer\.use, or drop it"),
        ("calls = 3\n", r"proposer\.calls: is for a language model"),
        ("tokens = 3\n", r"proposer\.tokens: is for a language model"),
        ("answer = 3\n", r"proposer\.answer: is for a language model"),
        ('timeout = "3s"\n', r"proposer\.timeout: is for an endpoint"),
        ('use = "champion"\nmodel = "x"\n', r"proposer\.model: is for an endpoint; name one in proposer\.use"),
        ('use = "champion"\nkey = { env = "X" }\n', r"proposer\.key: is for an endpoint"),
        ('use = "https://h/v1"\n', r"proposer\.model: is missing; an endpoint is asked for a model by its name"),
        ('use = "ftp://h/v1"\nmodel = "x"\n', r"^metaevo\.toml: proposer\.use = 'ftp://h/v1': no address; write"),
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
        checked(table(text), tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match=why):
        proposers(table(text), tmp_path, no_champion)  # type: ignore[arg-type]


def test_a_password_in_the_address_and_a_key_in_the_file_are_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as address:
        checked(table('use = "https://me:hunter2@h/v1"\nmodel = "x"\n'), tmp_path)
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
