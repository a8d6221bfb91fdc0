"""Is everything well? doctor looks at the machine, fsck at the home."""

from typing import Any

from services.home import Home
from services.operations import operation


@operation("read", home=False)
def doctor(home: Home | None = None) -> dict[str, Any]:
    """Check the machine: Python, packages, engine, grader isolation, disk, the home."""
    from services.doctor import examined

    return examined(home)


@operation("read")
def fsck(home: Home) -> dict[str, Any]:
    """Check the home: ledger, lineage, every artifact against its digest."""
    from services.fsck import checked

    return checked(home)
