"""A base is tried out before a home is made of it: its end of turn is found, its own settings named and not used."""

import json
from pathlib import Path

import pytest

from metaevo.engines.base_look import look_at, looked_at
from metaevo.errors import BadInput
from metaevo.tiny import CHECKPOINT
from tests.metaevo.learning.templates import GEMMA, tokenizer

SETTINGS = {"repetition_penalty": 1.3, "temperature": 0.6, "eos_token_id": [257, 7], "transformers_version": "5"}


def folder(path: Path, template: str) -> Path:
    tokenizer(template).save_pretrained(str(path))
    (path / "generation_config.json").write_text(json.dumps(SETTINGS))
    return path


def test_the_end_of_turn_is_found_and_the_file_s_settings_are_named(tmp_path: Path) -> None:
    found = look_at(folder(tmp_path, GEMMA))
    assert found.end == "<end_of_turn>"
    assert found.unused == ("eos_token_id = [257, 7]", "repetition_penalty = 1.3", "temperature = 0.6")


def test_the_built_in_base_ends_its_turns_with_its_eos() -> None:
    found = looked_at(CHECKPOINT)
    assert (found.end, found.unused) == ("<eos>", ("do_sample = false", "max_new_tokens = 24"))


def test_a_base_that_cannot_be_asked_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model\.base: its chat template ends a turn with nothing"):
        looked_at(folder(tmp_path, GEMMA.replace("<end_of_turn>", "")))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BadInput, match="has a tokenizer that cannot be loaded"):
        looked_at(tmp_path)
