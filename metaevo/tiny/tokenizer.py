"""The tiny model's tokenizer: one token a character, so that every skill, critique and mistake has a place to point at.

Printable ASCII and the newline; anything else is ``<unk>``. Merges (BPE) would hide digits and letters from skills
that work character by character.
"""

from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNK = "<pad>", "<bos>", "<eos>", "<unk>"
CHARACTERS = (*map(chr, range(32, 127)), "\n")
TOKENS = (PAD, BOS, EOS, *CHARACTERS, UNK)
CONTEXT = 192


def build() -> PreTrainedTokenizerFast:
    """Return the tokenizer with its chat template: ``<bos>``, each user turn and ``>``, each answer and ``<eos>``."""
    core = Tokenizer(models.WordLevel({token: place for place, token in enumerate(TOKENS)}, unk_token=UNK))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    core.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, TOKENS.index(BOS))])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNK,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
        chat_template=(Path(__file__).parent / "template.jinja").read_text(encoding="utf-8").strip(),
    )
