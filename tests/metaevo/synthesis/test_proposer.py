"""Proposers: what a model may see, what it may spend, and each way in which it or the network fails, by name."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from metaevo.errors import BadInput
from metaevo.kernels import CONTRACTS, ROW
from metaevo.synthesis import grammar, samples
from metaevo.synthesis.archive import Candidate, Elite, KernelArchive
from metaevo.synthesis.author_prompts import chat_prompt
from metaevo.synthesis.authors import PATIENCE, AuthorBudget, LanguageModel
from metaevo.synthesis.endpoint import Endpoint, Written
from metaevo.synthesis.proposals import (
    INFRASTRUCTURE,
    NoProposal,
    NoProposalReason,
    Prompt,
    Proposed,
    Request,
    Unproposed,
    in_turn,
)
from metaevo.synthesis.proposer import Grammar, candidate_of
from metaevo.synthesis.reply import function_in
from metaevo.synthesis.tree import canonical, from_json, source
from metaevo.testing.endpoint import INJECTION, Say, ScriptedEndpoint

GOOD = "def keep(row):\n    return row['level'] < 3\n"
SECRET = "sk-very-secret"
ROWS = tuple(samples.record(ROW, Random(at)) | {"text": f"PRIVATE{at}", "answer": "HIDDEN"} for at in range(9))
SEEN = Elite(Candidate("keep", GOOD.replace("3", "4"), 20, "champion", saw_rows=True), (0.5, 0.5), 0.4, 0.1)
PLAIN = Elite(candidate_of(grammar.grow("keep", Random(3))), (0.5, 0.5), 0.25, 0.05, 7)
REQUEST, ANY = Request("keep", (PLAIN, SEEN), rows=ROWS), Request("keep")


def model(url: str, sends: Any = "code", calls: int = 100, tokens: int = 10**7, **more: Any) -> LanguageModel:
    return LanguageModel(Endpoint(url, "m", **{"timeout_s": 20.0, **more}), AuthorBudget(calls, tokens), sends)


def asked(*script: Say, request: Request = ANY, **more: Any) -> tuple[Any, ScriptedEndpoint]:
    """Return what one proposal through a real server gave, and the server with what it heard."""
    with ScriptedEndpoint(script) as server:
        return model(server.url, **more).propose(request, Random(1)), server


def test_a_reply_with_one_function_is_a_candidate() -> None:
    outcome, server = asked(Say(f"Here:\n```python\n{GOOD}```", tokens=321), key=lambda: SECRET)
    assert isinstance(outcome, Proposed)
    made = outcome.candidate
    assert (made.source, made.kind, made.by, made.tree, made.saw_rows) == (GOOD, "keep", "endpoint", None, False)
    assert (made.model, made.prompt, made.parents) == ("m", chat_prompt(ANY, "code").digest, ())
    assert (outcome.cost.calls, outcome.cost.tokens) == (1, 321)
    (heard,) = server.heard
    assert heard.path == "/v1/chat/completions"
    assert heard.headers["Authorization"] == f"Bearer {SECRET}"
    body = json.loads(heard.body)
    assert set(body) == {"model", "messages", "max_tokens", "temperature", "seed"}
    assert (body["model"], body["max_tokens"], body["messages"][0]["role"]) == ("m", 1024, "user")


def test_the_same_stream_asks_the_same() -> None:
    first, second = asked(Say(GOOD), request=REQUEST)[1], asked(Say(GOOD), request=REQUEST)[1]
    assert first.heard[0].body == second.heard[0].body


DEEP = b'{"choices":' + b"[" * 5000 + b"]" * 5000 + b"}"


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (Say("no code"), NoProposalReason.NO_FUNCTION),
        (Say(INJECTION), NoProposalReason.NO_FUNCTION),
        (Say("```\nimport os\n" + GOOD + "```"), NoProposalReason.IMPORTS),
        (Say(""), NoProposalReason.EMPTY),
        (Say(None), NoProposalReason.EMPTY),
        (Say("x" * 100_000), NoProposalReason.TOO_LONG),
        (Say("x" * 2**20), NoProposalReason.TOO_LARGE),
        (Say(raw=b"\x00" * 2**20), NoProposalReason.TOO_LARGE),
        (Say(raw=b""), NoProposalReason.BAD_RESPONSE),
        (Say(raw=b"<html>busy</html>"), NoProposalReason.BAD_RESPONSE),
        (Say(raw=b"\xff\xfe\x00"), NoProposalReason.BAD_RESPONSE),
        (Say(raw=DEEP), NoProposalReason.BAD_RESPONSE),
        (Say(raw=b'{"choices": [{"message": {"content": NaN}}]}'), NoProposalReason.BAD_RESPONSE),
        (Say(raw=b"[]"), NoProposalReason.BAD_RESPONSE),
        (Say(raw=b'{"choices": []}'), NoProposalReason.BAD_RESPONSE),
        (Say(raw=b'{"choices": [{"message": {"content": 7}}]}'), NoProposalReason.BAD_RESPONSE),
        (Say(GOOD, status=500), NoProposalReason.HTTP_ERROR),
        (Say(GOOD, status=401), NoProposalReason.HTTP_ERROR),
        (Say(GOOD, status=429), NoProposalReason.HTTP_ERROR),
        (Say(GOOD, status=204, raw=b""), NoProposalReason.HTTP_ERROR),
        (Say(GOOD, status=302, location="/elsewhere"), NoProposalReason.HTTP_ERROR),
    ],
)
def test_each_failure_has_its_name(say: Say, reason: NoProposalReason) -> None:
    outcome, server = asked(say, key=lambda: SECRET)
    assert isinstance(outcome, NoProposal)
    assert outcome.reason is reason, outcome
    assert outcome.infrastructure is (reason in INFRASTRUCTURE)
    assert outcome.cost.calls == len(server.heard) == 1
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize("say", [Say(GOOD, delay_s=60.0), Say(GOOD, drip_s=0.1)])
def test_a_slow_endpoint_ends_with_the_deadline(say: Say) -> None:
    begun = time.monotonic()
    outcome, _ = asked(say, timeout_s=0.5)
    assert (outcome.reason, outcome.infrastructure) == (NoProposalReason.TIMEOUT, True)
    assert 0.5 <= time.monotonic() - begun < 15


def test_no_more_is_read_than_the_cap() -> None:
    begun = time.monotonic()
    outcome, _ = asked(Say(raw=b" " * 2**19, owed=2**40), timeout_s=60.0)
    assert outcome.reason is NoProposalReason.TOO_LARGE
    assert time.monotonic() - begun < 30, "it waited for the rest"
    outcome, _ = asked(Say(GOOD, owed=1), timeout_s=0.5)
    assert outcome.reason is NoProposalReason.TIMEOUT, "half an answer"


def test_nobody_there_is_unreachable() -> None:
    with ScriptedEndpoint([Say(GOOD)]) as server:
        url = server.url
    outcome = model(url).propose(Request("keep"), Random(1))
    assert isinstance(outcome, NoProposal)
    assert (outcome.reason, outcome.infrastructure) == (NoProposalReason.UNREACHABLE, True)


@pytest.mark.parametrize(
    "status_line", [b"garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nshort"]
)
def test_what_is_no_http_is_named(status_line: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def once() -> None:
            connection, _ = server.accept()
            with connection:
                while b"\r\n\r\n" not in connection.recv(65536):
                    pass
                connection.sendall(status_line)

        thread = threading.Thread(target=once)
        thread.start()
        outcome = model(f"http://127.0.0.1:{server.getsockname()[1]}").propose(Request("keep"), Random(1))
        thread.join()
    assert isinstance(outcome, NoProposal)
    assert outcome.reason in (NoProposalReason.BAD_RESPONSE, NoProposalReason.UNREACHABLE)
    assert outcome.infrastructure


def test_a_handshake_that_never_ends_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/v1"
        outcome = model(url, timeout_s=0.5).propose(Request("keep"), Random(1))
    assert isinstance(outcome, NoProposal)
    assert outcome.reason is NoProposalReason.TIMEOUT


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    made = "req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 -keyout key.pem -out cert.pem"
    subprocess.run(["openssl", *made.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with ScriptedEndpoint([Say(GOOD)], tls=context) as server:
        assert server.url.startswith("https://")
        outcome = model(server.url, key=lambda: SECRET).propose(REQUEST, Random(1))
        assert server.heard == []
    assert isinstance(outcome, NoProposal)
    assert outcome.reason is NoProposalReason.UNREACHABLE
    assert "SSLCertVerificationError" in outcome.detail


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("ftp://host/v1", None, "no address"),
        ("host/v1", None, "no address"),
        ("https://", None, "no address"),
        ("https://host:99999/v1", None, "write https"),
        ("https://host:0/v1", None, "no address"),
        ("https://host/v1?key=1", None, "no address"),
        ("https://me:pass@host/v1", None, "password"),
        ("http://host/v1", lambda: SECRET, "in the clear"),
        ("http://127.0.0.1.evil.invalid/v1", lambda: SECRET, "in the clear"),
    ],
)
def test_an_address_that_is_none_or_leaks_is_refused(url: str, key: Callable[[], str] | None, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        Endpoint(url, "m", key)
    assert "pass@" not in str(caught.value)


def test_the_key_is_looked_up_late_and_shown_nowhere() -> None:
    endpoint = Endpoint("https://host/v1", "m", key=lambda: SECRET + "\r\nX: y")
    assert SECRET not in repr(endpoint)
    with pytest.raises(Unproposed, match="no single line of printable ASCII") as caught:
        endpoint.write(chat_prompt(REQUEST, "code"), 1)
    assert (caught.value.reason, SECRET in str(caught.value)) == (NoProposalReason.KEY, False)
    assert Endpoint("http://[::1]:1/v1", "m", key=lambda: SECRET).name == "endpoint"


def test_code_and_counts_leave_and_nothing_else() -> None:
    sent = asked(Say(GOOD), request=REQUEST)[1].heard[0].body.decode()
    assert len(json.loads(sent)["messages"]) == 1  # what the host begins for its own model is not an endpoint's
    assert json.dumps(PLAIN.candidate.source)[1:-1] in json.loads(sent)["messages"][0]["content"]
    assert "0.25" in sent
    assert not [private for private in ("PRIVATE", "HIDDEN", "made/", SEEN.candidate.source[:-1]) if private in sent]
    outcome, _ = asked(Say(GOOD), request=REQUEST)
    assert (outcome.candidate.parents, outcome.candidate.saw_rows) == ((PLAIN.candidate.id,), False)


def test_rows_leave_where_the_setting_says_so_and_mark_what_comes_of_them() -> None:
    outcome, server = asked(Say(GOOD), request=REQUEST, sends="rows")
    sent = server.heard[0].body.decode()
    assert [f"PRIVATE{at}" in sent for at in range(9)] == [True] * 6 + [False] * 3
    assert "HIDDEN" not in sent, "a field that kernels do not get"
    assert outcome.candidate.saw_rows
    assert outcome.candidate.parents == (PLAIN.candidate.id, SEEN.candidate.id)
    child = Grammar(fresh=0).propose(Request("keep", (Elite(proposed_from(PLAIN, True), (0, 0), 0, 0),)), Random(1))
    assert isinstance(child, Proposed)
    assert child.candidate.saw_rows, "it descends from one that was written with rows in sight"


def proposed_from(elite: Elite, saw_rows: bool) -> Candidate:
    one = elite.candidate
    return Candidate(one.kind, one.source, one.size, one.by, one.tree, saw_rows=saw_rows)


def test_what_others_wrote_is_quoted() -> None:
    evil = Elite(Candidate("keep", f"```\n{INJECTION}", 9, "endpoint"), (0, 0), 0.1, 0.1)
    (message,) = chat_prompt(Request("keep", (evil,)), "code").messages
    assert "\n" + INJECTION not in message.content
    assert json.dumps(evil.candidate.source) in message.content
    for kind, contract in CONTRACTS.items():
        content = chat_prompt(Request(kind), "code").messages[0].content
        assert contract.signature in content
        assert all(f"- {name}:" in content for name in contract.fields)


def test_the_budget_of_calls_ends_the_asking() -> None:
    with ScriptedEndpoint([Say(GOOD)]) as server:
        proposer = model(server.url, calls=3)
        outcomes = [proposer.propose(Request("keep"), Random(at)) for at in range(5)]
        assert len(server.heard) == 3
    assert [isinstance(outcome, Proposed) for outcome in outcomes] == [True] * 3 + [False] * 2
    assert (outcomes[4].reason, outcomes[4].cost.calls, outcomes[4].infrastructure) == (
        NoProposalReason.BUDGET,
        0,
        False,
    )


@pytest.mark.parametrize("said", [None, -5, 0, True, "many", 10**12, 1.5])
def test_a_call_that_does_not_say_what_it_took_is_counted_at_its_most(said: Any) -> None:
    outcome, _ = asked(Say(GOOD, tokens=said))
    assert outcome.cost.tokens == len(chat_prompt(Request("keep"), "code").messages[0].content) + 1024


def test_the_budget_of_tokens_is_never_passed() -> None:
    most = len(chat_prompt(Request("keep"), "code").messages[0].content) + 1024
    with ScriptedEndpoint([Say(GOOD, tokens=900), Say(GOOD, status=500), Say(GOOD, tokens=900)]) as server:
        proposer = model(server.url, tokens=900 + 2 * most - 1)
        outcomes = [proposer.propose(Request("keep"), Random(at)) for at in range(4)]
        assert len(server.heard) == 2
    assert [outcome.cost.tokens for outcome in outcomes] == [900, most, 0, 0]
    assert outcomes[2].reason is NoProposalReason.BUDGET
    assert proposer.budget.spent_tokens == 900 + most
    resumed = AuthorBudget(9, 1000, spent_calls=9)
    assert LanguageModel(proposer.author, resumed).propose(Request("keep"), Random(1)).reason is NoProposalReason.BUDGET  # type: ignore[union-attr]


def test_after_failures_in_a_row_it_is_left_alone_and_the_grammar_goes_on() -> None:
    script = [Say(status=500), Say("no code"), *[Say(status=500)] * 9]
    with ScriptedEndpoint(script) as server:
        line_up = (model(server.url), Grammar())
        turns = [in_turn(line_up, Request("keep"), Random(at)) for at in range(8)]
        assert len(server.heard) == 2 + PATIENCE
    assert all(turn.proposed and turn.proposed.candidate.by == "grammar" for turn in turns)
    reasons = [turn.refusals[0].reason for turn in turns]
    assert reasons[:2] == [NoProposalReason.HTTP_ERROR, NoProposalReason.NO_FUNCTION], (
        "a bad reply is not a failure of infrastructure"
    )
    assert reasons[2:] == [NoProposalReason.HTTP_ERROR] * PATIENCE + [NoProposalReason.PAUSED] * 3
    nobody = in_turn(line_up[:1], Request("keep"), Random(1))
    assert (nobody.proposed, len(nobody.refusals)) == (None, 1)


def test_what_is_known_is_not_proposed_again() -> None:
    known = frozenset({Candidate("keep", GOOD, 1, "x").id})
    outcome, _ = asked(Say(GOOD), request=Request("keep", known=known))
    assert (outcome.reason, outcome.infrastructure) == (NoProposalReason.KNOWN, False)
    seen: set[str] = set()
    for at in range(40):
        made = Grammar().propose(Request("keep", known=frozenset(seen)), Random(at % 4))
        assert isinstance(made, Proposed)
        assert made.candidate.id not in seen
        seen.add(made.candidate.id)


def test_an_author_of_anothers_making_is_enough() -> None:
    class Mine:
        name, model, max_tokens = "mine", "m1", 5

        def write(self, asked: Prompt, seed: int) -> Written:
            return Written(GOOD if seed == Random(4).getrandbits(31) else "", None)

    made = LanguageModel(Mine(), AuthorBudget(1, 10**6)).propose(Request("keep"), Random(4))
    assert isinstance(made, Proposed)
    assert (made.candidate.by, made.candidate.model) == ("mine", "m1")


def test_the_grammar_grows_changes_and_crosses_with_provenance() -> None:
    archive = KernelArchive()
    for at in range(40):
        behaviour = (at % 5 / 5, at // 5 % 5 / 5)
        archive = archive.tell(candidate_of(grammar.grow("weight", Random(at))), at / 40, behaviour)
    archive = archive.tell(Candidate("weight", "def weight(row):\n    return 1\n", 9, "endpoint"), 1.0, (0.0, 0.0))
    rng, counts = Random(2), {0: 0, 1: 0, 2: 0}
    for _ in range(300):
        outcome = Grammar().propose(Request("weight", archive.ask(rng, "weight")), rng)
        assert isinstance(outcome, Proposed)
        made = outcome.candidate
        counts[len(made.parents)] += 1
        form = from_json(made.tree)
        assert (form.op, source(form), canonical(form)) == ("weight", made.source, form)
        assert function_in(made.source, CONTRACTS["weight"]) == made.source
        ids = {elite.candidate.id for elite in archive.elites.values() if elite.candidate.tree is not None}
        assert set(made.parents) <= ids, "a parent without a tree is passed over"
    assert min(counts.values()) > 30, counts
    every = [Grammar(fresh=1.0).propose(Request("weight", archive.ask(rng, "weight")), rng) for _ in range(9)]
    assert not [one for one in every if isinstance(one, Proposed) and one.candidate.parents]
