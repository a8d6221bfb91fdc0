"""Is everything well? doctor looks at the machine, fsck at the home."""

from services.home.home import Home
from services.operations import operation
from services.records.health import Doctor, Fsck


@operation("read", home=False)
def doctor(home: Home | None = None) -> Doctor:
    """Check the machine: Python, packages, engine, grader isolation, disk, the home."""
    from services.doctor import check_machine

    return check_machine(home)


@operation("read")
def fsck(home: Home) -> Fsck:
    """Check the home: ledger, lineage, every artifact against its digest."""
    from services.fsck import check_home

    return check_home(home)
