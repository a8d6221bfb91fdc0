"""Where a secret is kept is configuration; the secret itself is looked up when it is needed, and never shown."""

import os
from pathlib import Path

from metaevo.errors import BadInput
from services.config.fields import Secret

FOLDER = "CREDENTIALS_DIRECTORY"
"""Where systemd puts a unit's credentials."""
LONGEST = 64 * 1024


def value_of(secret: Secret, home: Path, place: str) -> str:
    """Return a secret. Files are named from the home's folder; blanks around what a file holds are not part of it.

    Raises:
        BadInput: It is not where ``place`` says, or empty there; the message names where that is, nothing more.
    """
    if secret.env is not None:
        where, value = f"environment variable {secret.env}", os.environ.get(secret.env)
    elif secret.credential is not None:
        folder = os.environ.get(FOLDER)
        where = f"credential {secret.credential}"
        value = _read(Path(folder) / secret.credential) if folder else None
    else:
        path = home / (secret.file or "")
        where, value = f"file {path}", _read(path)
    if value is None or not value.strip():
        raise BadInput(place, f"{where} is missing, unreadable or empty", "put the secret there")
    return value.strip()


def _read(path: Path) -> str | None:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(LONGEST)
    except (OSError, UnicodeDecodeError):
        return None
