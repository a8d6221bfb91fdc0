"""Durations and sizes as people write them: 9min, 30d, 400GiB."""

import re

SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def seconds_of(value: object) -> float:
    """Return a duration in seconds; a plain number is seconds already.

    Raises:
        ValueError: It is not a positive duration below a hundred years.
    """
    return _amount(value, SECONDS, "a duration like 90s, 9min, 2h or 30d", 3_153_600_000)


def bytes_of(value: object) -> int:
    """Return a size in bytes; a plain number is bytes already. Raises ValueError like `seconds_of`."""
    return round(_amount(value, BYTES, "a size like 500MiB or 400GiB", 2**60))


def _amount(value: object, units: dict[str, int], want: str, most: float) -> float:
    found: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    elif isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value)
        if match and (match[2] or "") in units:
            found = float(match[1]) * units[match[2]]
    if found is None or not 0 < found <= most:
        raise ValueError(f"want {want}")
    return found


def shown_s(seconds: float) -> str:
    """Return a duration as a person reads it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
