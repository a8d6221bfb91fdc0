"""The child of `migrate`: a request as JSON on stdin, its end as one line of JSON on stdout."""

import json
import sys

from metaevo.errors import MetaevoError, to_frame
from metaevo.ledger.ledger import database_of
from metaevo.ledger.migrations.apply import apply, place_of
from metaevo.ledger.migrations.failures import told


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    try:
        place, home = place_of(request)
        try:
            done = apply(place, home)
        except Exception as error:
            raise told(error, database_of(place).name) from error
    except MetaevoError as error:
        sys.stdout.write(json.dumps(to_frame(error)) + "\n")
        return
    sys.stdout.write(json.dumps({"found": done.found, "now": done.now, "backup": done.backup}) + "\n")


main()
