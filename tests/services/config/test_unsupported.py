"""Keys whose component comes with a later part: parsed, then refused at start by name; nothing else is refused."""

from pathlib import Path

import pytest

from metaevo.errors import BadInput
from services.config.read import parse
from services.config.unsupported import RULES, refuse, unsupported_keys

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples"
BASE = '[model]\nbase = "builtin:tiny"\n'
ASKED: dict[str, str] = {
    "mode": 'mode = "gated"\n' + BASE,
    "model.sha256": BASE + 'sha256 = "9f86"\n',
    "model.thinking": BASE + "thinking = true\n",
    "model.hub_token": BASE + 'hub_token = { env = "HF" }\n',
    "schedule": BASE + '[schedule]\nwindow = "01:00-06:00"\n',
    "budget.day": BASE + "[budget.day]\ncycles = 2\n",
    "budget.month": BASE + "[budget.month]\ntokens = 2\n",
    "budget.disk": BASE + '[budget]\ndisk = "400GiB"\n',
    "budget.price": BASE + "[budget.price]\ngpu_hour = 2.9\n",
    "budget.total.gpu_hours": BASE + "[budget.total]\ngpu_hours = 2\n",
    "budget.total.promotions": BASE + "[budget.total]\npromotions = 2\n",
    "budget.total.money": BASE + "[budget.total]\nmoney = 2\n",
    "data.knowledge": BASE + '[data]\nknowledge = ["a.txt"]\n',
    "data.labels": BASE + '[data]\nlabels = ["a.jsonl"]\n',
    "data.real_share": BASE + "[data]\nreal_share = 0.1\n",
    "rollouts.engine": BASE + '[rollouts]\nengine = "vllm"\n',
    "rollouts.python": BASE + '[rollouts]\npython = ".venv-vllm/bin/python"\n',
    "training.gpus": BASE + "[training]\ngpus = 8\n",
    "placement.use": BASE + '[placement]\nuse = "ray"\n',
    "placement.address": BASE + '[placement]\naddress = "auto"\n',
    "placement.rollouts": BASE + "[placement]\nrollouts = { workers = 1 }\n",
    "placement.training": BASE + "[placement]\ntraining = { gpus = 0 }\n",
    "serving": BASE + "[serving]\nenabled = false\n",
    "notify": BASE + '[notify.ops]\nurl = { env = "HOOK" }\n',
    "retention": BASE + "[retention]\ngenerations = 20\n",
    "backup": BASE + '[backup]\nto = "/backup"\n',
    "store": BASE + '[store]\nurl = "s3://bucket"\n',
    "api": BASE + '[api]\nlisten = "127.0.0.1:8765"\n',
}
WELCOME = (
    'mode = "observe"\nseed = 3\n[model]\nbase = "./models/mine"\ncontext = 4096\n[environments.a]\nuse = "a.py"\n'
    '[environments.b]\nuse = "dataset"\nreward = "regex"\npattern = "x"\n[goals.g]\nraise = "a"\n'
    '[protect]\n"*" = false\n'
    '[forbid]\nmethods = ["grpo"]\n[data]\nreplay = ["r.jsonl"]\n[budget.total]\ncycles = 3\nwall_clock = "2h"\n'
    'tokens = 9\n[rollouts]\nengine = "transformers"\n[training]\ngpus = 1\n[placement]\nuse = "process"\ntrials = 2\n'
    '[gate]\nalpha = 0.1\n[search]\ntrials = 2\n[diagnosis]\nitems = 8\n[objective]\nrule = "weakest_first"\n'
    '[fixed]\nrecipe = "star"\n[proposer]\nuse = "champion"\n[ledger]\nurl = { env = "DB" }\n'
)


def test_every_rule_has_a_file_that_asks_for_it() -> None:
    assert set(ASKED) == {".".join(place) for place, _, _ in RULES}


@pytest.mark.parametrize("key", ASKED)
def test_a_key_of_a_later_part_is_refused_by_name_with_a_way_out(key: str) -> None:
    (said,) = unsupported_keys(parse(ASKED[key]), ASKED[key])
    assert said.value == "comes with a later part"
    assert key in said.place
    assert said.place.startswith("metaevo.toml:")
    assert said.way_out == next(way_out for path, _, way_out in RULES if ".".join(path) == key)
    assert "\n" not in str(said)
    with pytest.raises(BadInput, match="comes with a later part"):
        refuse(parse(ASKED[key]), ASKED[key])


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("mode", "metaevo.toml:1: mode = 'gated': comes with"),
        ("training.gpus", "metaevo.toml:4: training.gpus = 8: comes with"),
        ("rollouts.engine", "metaevo.toml:4: rollouts.engine = 'vllm': comes with"),
        ("model.thinking", "metaevo.toml:3: model.thinking: comes with"),
    ],
)
def test_the_line_and_the_value_are_said(key: str, said: str) -> None:
    assert str(next(unsupported_keys(parse(ASKED[key]), ASKED[key]))).startswith(said)


@pytest.mark.parametrize("text", [BASE, WELCOME])
def test_what_is_here_is_not_refused(text: str) -> None:
    assert list(unsupported_keys(parse(text), text)) == []
    refuse(parse(text), text)


@pytest.mark.parametrize(
    ("base", "later"),
    [
        ("Qwen/Qwen3-8B", True),
        ("s3://models/qwen", True),
        ("https://example.org/model", True),
        ("builtin:tiny", False),
        ("/models/qwen", False),
        ("./models/qwen", False),
        ("../qwen", False),
        ("a/b/c", False),
        ("", False),
    ],
)
def test_a_base_from_a_hub_or_store_is_refused_with_the_way_out(base: str, later: bool) -> None:
    text = f'[model]\nbase = "{base}"\n'
    said = [str(error) for error in unsupported_keys(parse(text), text)]
    hub = "loading from a hub or store comes with a later part; give a folder"
    assert said == ([f"metaevo.toml:2: model.base = {base!r}: {hub}"] if later else [])


def test_a_judge_s_reward_is_refused_where_it_stands() -> None:
    text = BASE + '[environments.poems]\nuse = "dataset"\npath = "poems.jsonl"\nreward = "judge"\n'
    (said,) = unsupported_keys(parse(text), text)
    assert str(said).startswith(
        "metaevo.toml:6: environments.poems.reward = 'judge': a judge's reward comes with a later"
    )


def test_secrets_are_not_repeated_in_a_refusal() -> None:
    text = BASE + '[notify.ops]\nurl = { env = "HOOK_SECRET_NAME" }\n'
    assert "HOOK_SECRET_NAME" not in str(next(unsupported_keys(parse(text), text)))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("demo", set()),
        ("cluster", {"model.base", "model.sha256", "store", "placement.use", "api"}),
    ],
)
def test_the_examples_say_what_is_missing_for_them_today(name: str, keys: set[str]) -> None:
    text = (EXAMPLES / f"{name}.toml").read_text()
    said = [str(error) for error in unsupported_keys(parse(text), text)]
    assert all(any(f": {key}" in line for line in said) for key in keys)
    assert bool(said) == bool(keys)
