"""Schema 2: the tables as they were when migrations began."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Column

revision, down_revision = "2", None

MANY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
OUTCOMES = "outcome in ('open', 'promote', 'hold', 'reject', 'none', 'void', 'abandoned')"
STATUSES = "status in ('champion', 'retired', 'candidate', 'held', 'rejected', 'quarantined', 'intermediate')"


def _texts(*names: str) -> list["Column[str]"]:
    return [Column(name, sa.String(), nullable=False) for name in names]


def _numbers(*names: str) -> list["Column[int]"]:
    return [Column(name, sa.Integer(), nullable=False) for name in names]


def _shares(*names: str) -> list["Column[float]"]:
    return [Column(name, sa.Float(), nullable=False) for name in names]


def upgrade() -> None:
    """Make every table."""
    _facts()
    _cycles()
    _generations()
    _decisions()


def _facts() -> None:
    op.create_table("meta", *_texts("key", "value"), sa.PrimaryKeyConstraint("key"))
    op.create_table(
        "config", *_texts("digest", "text"), Column("at", TIME, nullable=False), sa.PrimaryKeyConstraint("digest")
    )
    op.create_table(
        "event",
        Column("seq", sa.Integer(), nullable=False),
        *_texts("code", "sentence"),
        Column("data", sa.JSON(), nullable=False),
        Column("cycle", sa.Integer()),
        Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_table(
        "recipe",
        *_texts("hash", "name"),
        Column("body", sa.JSON(), nullable=False),
        Column("modules", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )


def _cycles() -> None:
    op.create_table(
        "cycle",
        Column("number", sa.Integer(), nullable=False),
        *_texts("outcome", "why", "parent"),
        *_numbers("epoch", "seed"),
        *_texts("commitment", "runtime"),
        Column("fixed", sa.JSON()),
        Column("objective", sa.JSON()),
        Column("candidate", sa.String()),
        Column("verdict", sa.JSON()),
        Column("tokens", MANY, nullable=False),
        Column("opened_at", TIME, nullable=False),
        Column("closed_at", TIME),
        sa.PrimaryKeyConstraint("number"),
        sa.CheckConstraint(OUTCOMES),
    )
    op.create_table(
        "step",
        *_numbers("cycle", "trial", "stage", "round"),
        *_texts("step"),
        *_numbers("position"),
        *_texts("module", "mark"),
        Column("digest", sa.String()),
        Column("body", sa.LargeBinary()),
        Column("counts", sa.JSON(), nullable=False),
        *_numbers("runs"),
        Column("opened_at", TIME, nullable=False),
        Column("closed_at", TIME),
        sa.PrimaryKeyConstraint("cycle", "trial", "stage", "round", "step", "position"),
    )
    op.create_table(
        "trial",
        *_numbers("cycle", "number"),
        *_texts("study", "recipe"),
        *_shares("fidelity"),
        Column("params", sa.JSON(), nullable=False),
        Column("score", sa.Float()),
        Column("constraints", sa.JSON(), nullable=False),
        Column("tokens", MANY, nullable=False),
        *_texts("failure"),
        Column("generation", sa.String()),
        sa.PrimaryKeyConstraint("cycle", "number"),
    )


def _generations() -> None:
    op.create_table(
        "generation",
        *_texts("id"),
        *_numbers("number"),
        Column("parent", sa.String()),
        *_texts("status"),
        *_numbers("cycle", "trial", "place"),
        Column("parts", sa.JSON()),
        Column("answer", sa.JSON(), nullable=False),
        Column("recipe", sa.String()),
        Column("data", sa.String()),
        Column("objective", sa.JSON()),
        Column("manifest", sa.String()),
        Column("epoch", sa.Integer()),
        Column("verdict", sa.JSON()),
        Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint(STATUSES),
        sa.UniqueConstraint("number"),
        sa.UniqueConstraint("cycle", "trial", "place"),
    )
    op.create_table("alias", *_texts("name", "generation"), sa.PrimaryKeyConstraint("name"))
    op.create_table(
        "move",
        Column("seq", sa.Integer(), nullable=False),
        *_texts("alias"),
        Column("before", sa.String()),
        Column("after", sa.String()),
        *_texts("who", "why"),
        Column("evidence", sa.JSON(), nullable=False),
        Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )


def _decisions() -> None:
    op.create_table(
        "epoch",
        *_numbers("number"),
        *_texts("evaluator", "why"),
        Column("opened_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "score",
        *_texts("generation", "split", "environment"),
        *_numbers("level", "epoch", "n"),
        *_shares("mean", "low", "high"),
        Column("latent", sa.Float()),
        *_numbers("cycle"),
        sa.PrimaryKeyConstraint("generation", "split", "environment", "level", "epoch"),
    )
    op.create_table(
        "confirmation",
        *_numbers("epoch", "k", "cycle"),
        *_texts("candidate"),
        *_shares("level"),
        Column("cells", sa.JSON(), nullable=False),
        Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("epoch", "k"),
    )
    op.create_table(
        "hold",
        *_texts("candidate", "parent"),
        *_numbers("epoch", "k", "cycle", "tries"),
        Column("open", sa.Boolean(), nullable=False),
        Column("exam", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("candidate"),
    )
