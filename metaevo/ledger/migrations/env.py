"""What Alembic runs: the revisions, on the connection and in the transaction that `apply` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    render_as_batch=True,  # SQLite changes a table only by making it anew
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
