"""The child of `migrate`: a request as JSON on stdin, its end as one line of JSON on stdout."""

import json
import sys

from sqlalchemy.exc import DatabaseError, OperationalError

from metaevo.errors import MetaevoError, StoreError, Unwritable, to_frame
from metaevo.ledger.migrations.apply import apply, place_of


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        place, home = place_of(request)
        try:
            done = apply(place, home)
        except DatabaseError as error:
            said = " ".join(str(error.orig).split())[:400]
            kind = Unwritable if isinstance(error, OperationalError) else StoreError
            raise kind(f"the ledger cannot be migrated: {said}; it is as it was") from error
    except MetaevoError as error:
        sys.stdout.write(json.dumps(to_frame(error)) + "\n")
        return
    sys.stdout.write(json.dumps({"found": done.found, "now": done.now, "backup": done.backup}) + "\n")


main()
