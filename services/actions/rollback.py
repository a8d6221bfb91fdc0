"""What going back to a generation needs: its parts, and no open cycle on the one that is left."""

from metaevo.errors import BadInput
from metaevo.ledger.lineage import GenerationRecord
from services.home.home import Home


def verify_parts(home: Home, row: GenerationRecord) -> None:
    """Check that a generation can be gone back to: every file of its parts is there and unchanged.

    Raises:
        StoreError: It is not.
        BadInput: It was never published.
    """
    if not row.parts:
        raise BadInput("", f"generation {row.id} was never published", "name one of `metaevo generations`")
    store = home.store()
    for digest in row.parts.values():
        store.tree(digest)
        below = store.manifest(digest)["meta"].get("base")
        if below is not None:
            store.tree(below)
