"""The look at a module's source: what it may import, the ways around that, and what stays free."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from metaevo.registry.allowed import VOCABULARY, refused
from metaevo.registry.reach import reached
from tests.metaevo.registry.test_laws import HEAD


def said_of(folder: Path, slot: str, lines: str) -> str:
    """What the law on modules says of a source; it is read and never run."""
    path = folder / "lawless.py"
    path.write_text(HEAD + lines + "\n")
    return reached(path, trains=slot == "update") or ""


AROUND = {
    "from codecs import open as o": "it imports codecs;",
    "from _io import FileIO": "it imports _io;",
    "import _sqlite3": "it imports _sqlite3;",
    "import _socket": "it imports _socket;",
    "import _pickle": "it imports _pickle;",
    "from _frozen_importlib_external import FileLoader": "it imports _frozen_importlib_external;",
    "import timeit\n\ntimeit.timeit('import os')": "it imports timeit;",
    "import uuid\n\nuuid.os": "it imports uuid;",
    "import sklearn": "it imports sklearn;",
    "import random\n\nrandom._os.popen('x')": "it uses random._os;",
    "from random import _os": "it imports random._os;",
    "import typing\n\ntyping.sys.modules": "it uses typing.sys;",
    "from typing import sys as s": "it imports typing.sys;",
    "import dataclasses\n\ndataclasses.builtins": "it uses dataclasses.builtins;",
    "import re\n\nre.enum.sys": "it uses enum.sys;",
    "import re\n\nhidden = [re]\nhidden[0].enum": "it hands the module re on;",
    "import operator\n\noperator.attrgetter('_os.popen')": "it uses operator.attrgetter;",
    "from operator import methodcaller": "it imports operator.methodcaller;",
    "from operator import *": "it imports everything of operator;",
    'getattr(print, "__se" + "lf__")': "it uses getattr with a name that is not in its source;",
    'getattr(print, "__self__")': "it uses .__self__;",
    'import random\n\ngetattr(random, "_os")': "it uses random._os;",
    "list(map(getattr, [print], ['__self__']))": "it hands getattr on;",
    "print.__self__": "it uses .__self__;",
    "(1).__class__.__base__": "it uses .__",
    "breakpoint()": "it uses breakpoint;",
    "input()": "it uses input;",
    "__loader__": "it uses __loader__;",
    "from metaevo.errors import os": "it imports metaevo.errors.os;",
    "import torch": "it imports torch;",
    "from metaevo.learning import supervised": "it imports metaevo.learning;",
}
AROUND_TRAINING = {
    "from numpy import loadtxt as lt": "it imports numpy.loadtxt;",
    "import numpy\n\nnumpy.load('x')": "it uses numpy.load;",
    "import numpy as np\n\nnp.ctypeslib": "it uses numpy.ctypeslib;",
    "import torch\n\ntorch.load('x')": "it uses torch.load;",
    "import torch\n\ntorch.os.popen('x')": "it uses torch.os;",
    "import torch\n\ntorch.hub": "it uses torch.hub;",
    "from torch import hub": "it imports torch.hub;",
    "import torch.utils.cpp_extension": "it imports torch.utils.cpp_extension;",
    "from torch import nn\n\nnn.modules": "it uses torch.nn.modules;",
    "from metaevo.learning.training import shutil": "it imports metaevo.learning.training.shutil;",
    "from metaevo.learning import training\n\ntraining.Path('x')": "it imports metaevo.learning.training.Path;",
    "from metaevo.engines.watch import Watch": "it imports metaevo.engines.watch;",
    "def lawless(weights):\n    weights._watch": "it uses ._watch;",
}


@pytest.mark.parametrize("lines", [*AROUND, *AROUND_TRAINING])
def test_ways_around_the_list_are_refused_by_name(tmp_path: Path, lines: str) -> None:
    said = {**AROUND, **AROUND_TRAINING}[lines]
    found = said_of(tmp_path, "update" if lines in AROUND_TRAINING else "refinement", lines)
    assert found.startswith(said), found
    assert "\n" not in found


PLAINLY = """from __future__ import annotations

import json
import math
import random as chance
import re
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from difflib import SequenceMatcher
from enum import Enum, StrEnum
from fractions import Fraction
from functools import cache, lru_cache, partial, reduce
from hashlib import blake2b, md5, sha256
from heapq import heappush, nlargest
from itertools import chain, groupby
from operator import add, itemgetter
from statistics import fmean, median
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

NUMBER = re.compile(r"[0-9]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    rows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self._kept = [json.dumps(math.sqrt(row), sort_keys=True) for row in self.rows]

    def name(self) -> str:
        return type(self).__name__ + getattr(self, "more", "") + json.loads('"x"')


seen = re.Pattern, chance.Random(7).random(), math.pi, json.JSONDecodeError, datetime.now
"""
TRAINING = """import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig
from torch import nn
from torch.optim import AdamW
from trl import SFTConfig, SFTTrainer

from metaevo.learning import rows, supervised, training
from metaevo.learning.preference import make_trainable, trainer
from metaevo.learning.training import run


class Own(SFTTrainer):
    def _prepare_dataset(self, dataset):
        return super()._prepare_dataset(dataset)


def step(weights, spec, found):
    learner = weights.load(spec=spec)
    made = rows.supervised_rows(learner.chat, weights.admit(found))
    with torch.no_grad():
        torch.nn.utils.clip_grad_norm_(learner.model.parameters(), 1.0)
    return F.relu(torch.zeros(3)), nn.Linear(2, 2), np.random.default_rng(1), training.run, supervised.trainer, made
"""


@pytest.mark.parametrize(("slot", "lines"), [("refinement", PLAINLY), ("update", PLAINLY), ("update", TRAINING)])
def test_plain_computing_and_training_are_free(tmp_path: Path, slot: str, lines: str) -> None:
    path = tmp_path / "lawful.py"
    path.write_text(lines)
    assert reached(path, trains=slot == "update") is None


@pytest.mark.parametrize("module", sorted(VOCABULARY))
def test_the_whole_vocabulary_may_be_used(module: str) -> None:
    names = [name for name, value in vars(import_module(module)).items() if not isinstance(value, ModuleType)]
    assert [name for name in names if name[0] != "_" and refused(module, name, trains=False)] == []


def test_nobody_imports_torch_to_look_at_a_source(tmp_path: Path) -> None:
    path = tmp_path / "lawful.py"
    path.write_text(TRAINING)
    code = "import sys, pathlib; from metaevo.registry.reach import reached\n"
    code += "print(reached(pathlib.Path(sys.argv[1]), trains=True), {'torch', 'numpy', 'trl'} & set(sys.modules))"
    told = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    assert told == "None set()\n"


def test_a_file_beside_hides_no_module_that_is_installed(tmp_path: Path) -> None:
    (tmp_path / "pickle.py").write_text("")
    (tmp_path / "pydantic.py").write_text("")
    (tmp_path / "own.py").write_text("ROWS = ()\n")
    assert said_of(tmp_path, "refinement", "from own import ROWS") == ""
    for name in ("pickle", "pydantic"):
        assert said_of(tmp_path, "refinement", f"import {name}") == f"it imports {name}; ask for an effect instead"
