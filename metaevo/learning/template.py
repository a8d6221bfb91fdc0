"""Chat templates with nothing left open: thinking set, the clock stopped, a system turn where the base takes none.

What is fixed stands in front of the base's own template, in its own language, so that whoever renders it (this
library, TRL, vLLM from an export) gets the same prompt.
"""

import json
import re
from datetime import datetime

from metaevo.errors import BadInput

OPEN, CLOSE = "<think>", "</think>"
"""The marks of a block of thinking, in the templates of all models that have one."""
NOW = datetime(2024, 7, 26)
"""What the clock shows to templates that ask for the day: the date that Llama 3's names where there is no clock."""
_CLOCK = re.compile(r"strftime_now\(\s*(?P<quote>['\"])(?P<format>.*?)(?P=quote)\s*\)")


def pinned(template: str, thinking: bool) -> str:
    """Return the template with thinking on or off and a clock that stands still.

    Raises:
        BadInput: It asks for the time in a form that cannot be read.
    """
    word = "true" if thinking else "false"
    names = [name for name in ("enable_thinking", "thinking") if re.search(rf"\b{name}\b", template)]
    head = "".join(f"{{% set {name} = {word} %}}" for name in names)
    formats = {found["format"] for found in _CLOCK.finditer(template)}
    if len(_CLOCK.findall(template)) < template.count("strftime_now("):
        said = "its chat template asks for the time in a form that cannot be read"
        raise BadInput("model.base", said, "write the date into the template")
    if formats:
        known = json.dumps({form: NOW.strftime(form) for form in sorted(formats)}, ensure_ascii=False)
        head += f"{{% macro strftime_now(format) %}}{{{{ {known}[format] }}}}{{% endmacro %}}"
    return in_front(head, template)


def with_folded_system(template: str) -> str:
    """Return the template of a base that takes no system turn, with that turn said at the beginning of the user's."""
    first = "[{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' + messages[1]['content']}]"
    head = f"{{% if messages[0]['role'] == 'system' %}}{{% set messages = {first} + messages[2:] %}}{{% endif %}}"
    return in_front(head, template)


def with_system(template: str, system: str) -> str:
    """Return the template with a system turn in front of every conversation that has none."""
    turn = f"[{{'role': 'system', 'content': {json.dumps(system, ensure_ascii=False)}}}]"
    head = f"{{% if messages[0]['role'] != 'system' %}}{{% set messages = {turn} + messages %}}{{% endif %}}"
    return in_front(head, template)


def in_front(head: str, template: str) -> str:
    """Return a template with statements in front of it; the line break after them is one that is never printed."""
    return f"{head}\n{template}" if head else template
