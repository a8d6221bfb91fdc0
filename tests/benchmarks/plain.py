"""The peer: one process with transformers and TRL alone, ``python -m tests.benchmarks.plain PIPE FILE``.

It is held by a pipe like an engine only so that the arms can take turns; what it is timed on is plain library code.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from metaevo.engines.protocol import receive, send
from metaevo.engines.worker_life import die_with_parent
from metaevo.errors import EngineDied
from tests.benchmarks.watch import Watch, seconds, since

BATCH = 256
Chat = list[dict[str, str]]


def load(folder: str) -> tuple[Any, Any]:
    """Return a checkpoint's model and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    return AutoModelForCausalLM.from_pretrained(folder).to(where).eval(), tokenizer


def rendered(tokenizer: Any, prompts: Sequence[Chat]) -> list[str]:
    """Return the prompts as text, ready to be answered."""
    return [tokenizer.apply_chat_template(p, tokenize=False, add_generation_prompt=True) for p in prompts]


def generated(
    model: Any, tokenizer: Any, prompts: Sequence[Chat], how: dict[str, Any], *, batch: int = BATCH, sort: bool = False
) -> tuple[list[str], int]:
    """Return n answers a prompt from a batched generate loop, and how many tokens they have."""
    import torch

    texts = [text for text in rendered(tokenizer, prompts) for _ in range(how["n"])]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i])) if sort else range(len(texts))
    rows = [texts[i] for i in order]
    answers, tokens = [""] * len(rows), 0
    sampling = {"do_sample": True, "temperature": how["temperature"], "top_k": 0} if how["temperature"] else {}
    for at in range(0, len(rows), batch):
        given = tokenizer(rows[at : at + batch], return_tensors="pt", padding=True, add_special_tokens=False)
        given = given.to(model.device)
        with torch.inference_mode():
            made = model.generate(
                **given, max_new_tokens=how["max_tokens"], pad_token_id=tokenizer.pad_token_id, **sampling
            )[:, given["input_ids"].shape[1] :]
        tokens += int((made != tokenizer.pad_token_id).sum())
        for i, text in zip(order[at : at + batch], tokenizer.batch_decode(made, skip_special_tokens=True), strict=True):
            answers[i] = text
    return answers, tokens


def scored(model: Any, tokenizer: Any, prompts: Sequence[Chat], texts: Sequence[str]) -> None:
    """Compute the log-probability of each text after its prompt."""
    import torch

    rows = [p + t for p, t in zip(rendered(tokenizer, prompts), texts, strict=True)]
    for at in range(0, len(rows), BATCH):
        given = tokenizer(rows[at : at + BATCH], return_tensors="pt", padding=True, add_special_tokens=False)
        given = given.to(model.device)
        with torch.inference_mode():
            logits = model(**given).logits[:, :-1]
        logits.float().log_softmax(-1).gather(2, given["input_ids"][:, 1:].unsqueeze(-1))


def tuned(folder: str, job: dict[str, Any], into: str) -> tuple[Any, Any]:
    """Return the checkpoint after TRL's SFTTrainer has seen the rows, saved as well."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    model, tokenizer = load(folder)
    rows = [{"prompt": p, "completion": [{"role": "assistant", "content": t}]} for p, t in job["rows"]]
    lora = LoraConfig(**job["lora"], target_modules="all-linear", task_type="CAUSAL_LM") if job["lora"] else None
    config = SFTConfig(
        output_dir=into,
        max_steps=job["steps"],
        per_device_train_batch_size=job["batch"],
        learning_rate=job["lr"],
        report_to="none",
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=model.device.type == "cpu",
    )
    trainer = SFTTrainer(
        model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora
    )
    trainer.train()
    made = trainer.accelerator.unwrap_model(trainer.model)
    made = made.merge_and_unload() if lora else made
    made.save_pretrained(into)
    tokenizer.save_pretrained(into)
    return made.eval(), tokenizer


class Peer:
    """Answers the benchmark's requests."""

    def __init__(self, seen: Path) -> None:
        self.seen = seen
        self.models: dict[str, tuple[Any, Any]] = {}

    def start(self, threads: int) -> dict[str, str]:
        """Import what a script imports at its top."""
        import datasets
        import torch
        import transformers
        import trl

        torch.set_num_threads(threads)
        datasets.disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()
        transformers.logging.set_verbosity_error()
        return {"trl": trl.__version__}

    def rollout(self, folder: str, prompts: list[Chat], how: dict[str, Any], batch: int, sort: bool) -> dict[str, Any]:
        """Answer the prompts with a loop over batches."""
        if folder not in self.models:
            self.models[folder] = load(folder)
        answers, tokens = generated(*self.models[folder], prompts, how, batch=batch, sort=sort)
        return {"answers": answers, "tokens": tokens}

    def work(self, base: str, name: str, calls: list[dict[str, Any]], threads: int) -> dict[str, Any]:
        """Do the same calls as a cycle did, one after the other; ``name`` is what they call the base."""
        import torch

        torch.set_num_threads(threads)
        models, folders, tokens, steps = {name: load(base)}, {name: base}, 0, 0
        with TemporaryDirectory() as place:
            for number, call in enumerate(calls):
                if call["kind"] == "sample":
                    tokens += generated(*models[call["model"]], call["prompts"], call)[1]
                elif call["kind"] == "score":
                    scored(*models[call["model"]], call["prompts"], call["texts"])
                else:
                    folder = folders[call["made"]] = os.path.join(place, str(number))
                    models[call["made"]] = tuned(folders[call["model"]], call, folder)
                    steps += call["steps"]
        return {"tokens": tokens, "steps": steps}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked for and return it with its wall, CPU and model seconds."""
        do: Callable[..., dict[str, Any]] = getattr(self, request.pop("op"))
        before, wall, cpu = seconds(self.seen), time.monotonic(), time.process_time()
        made = do(**request)
        spent = since(self.seen, before)
        return {
            **made,
            "wall_s": time.monotonic() - wall,
            "cpu_s": time.process_time() - cpu,
            "model_s": spent["generate"] + spent["train"] + spent["forward"],
        }


def main() -> None:
    """Take over stdin and stdout, answer until the stream ends."""
    die_with_parent(int(sys.argv[1]))
    into, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    seen = Path(sys.argv[2])
    Watch(seen).start()
    peer = Peer(seen)
    while True:
        try:
            request = receive(into)
        except EngineDied:
            return
        send(out, {"ok": peer.answer(request)})


if __name__ == "__main__":
    main()
