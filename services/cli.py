"""The command line: one command per operation, made from its signature. Data to stdout, messages to stderr.

Exit codes: 0 ok, 1 error, 2 usage or configuration, 3 unhealthy or busy, 4 refused by the gate, 5 needs approval.
``--home``, ``--json`` and ``--yes`` may stand before or after the verb.
"""

import inspect
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from objectives.types import JsonValue
from services.operations import Operation, load
from services.parameters import Argument, Option
from services.records import well

HOME = Annotated[Path | None, typer.Option("--home", help="The home folder.", envvar="METAEVO_HOME")]
VERB_HOME = Annotated[Path | None, typer.Option("--home", help="The home folder (or METAEVO_HOME).")]
"""Behind the verb the variable is not read again: there it would win over a --home that stands before the verb."""
JSON = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
YES = Annotated[bool, typer.Option("--yes", help="Answer yes to questions.")]
DEMO_HOME = ".local/share/metaevo-demo"


def build() -> typer.Typer:
    """Return the application with every operation as a command."""
    app = typer.Typer(
        name="metaevo",
        help="Evolve a language model by itself; keep only what is statistically real, reversible and explained.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    groups: dict[str, typer.Typer] = {}

    @app.callback()
    def root(context: typer.Context, home: HOME = None, json: JSON = False, yes: YES = False) -> None:
        context.obj = {"home": home, "json": json, "yes": yes}

    for operation in load():
        under = app
        if operation.group:
            if operation.group not in groups:
                groups[operation.group] = typer.Typer(no_args_is_help=True, help=_GROUPS.get(operation.group))
                app.add_typer(groups[operation.group], name=operation.group)
            under = groups[operation.group]
        under.command(operation.name)(_command(operation))
    return app


_GROUPS = {
    "config": "Check, show or describe metaevo.toml.",
    "goals": "What a person wants raised.",
    "environments": "What the model is measured and trained on.",
    "modules": "What recipes are made of.",
    "recipes": "How a model is raised.",
    "sandbox": "Where code runs that nobody has read.",
    "audit": "The gate's own accounts.",
}


def _command(operation: Operation) -> Any:
    """Return a function with the operation's own parameters and the three common ones."""
    parameters = [_parameter(parameter) for parameter in operation.parameters]
    common = [("home", VERB_HOME, None), ("json", JSON, False), ("yes", YES, False)]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in common
    ]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    def command(context: typer.Context, **given: Any) -> None:
        before = context.obj or {}
        home = given.pop("home") or before.get("home")
        as_json = given.pop("json") or before.get("json")
        given.pop("yes")
        _run(operation, home, bool(as_json), given)

    command.__doc__ = inspect.getdoc(operation.call)
    command.__name__ = operation.key
    ordered = sorted(parameters, key=lambda p: p.kind is inspect.Parameter.KEYWORD_ONLY)
    command.__signature__ = inspect.Signature([context, *ordered])  # type: ignore[attr-defined]
    return command


def _parameter(parameter: inspect.Parameter) -> inspect.Parameter:
    """Return a parameter as typer reads it."""
    kind: Any = parameter.annotation
    marks: tuple[Any, ...] = ()
    if get_origin(kind) is Annotated:
        kind, *rest = get_args(kind)
        marks = tuple(rest)
    mark = next((m for m in marks if isinstance(m, Argument | Option)), None)
    text = mark.help if mark else ""
    flag = (f"--{parameter.name.replace('_', '-')}",) if kind is bool else ()  # no --no-… beside it
    made = typer.Argument(help=text) if isinstance(mark, Argument) else typer.Option(*flag, help=text)
    return parameter.replace(annotation=Annotated[kind, made], kind=inspect.Parameter.KEYWORD_ONLY)


def _run(operation: Operation, home: Path | None, as_json: bool, given: dict[str, JsonValue]) -> None:
    """Call the operation, print its result, and end with the right exit code."""
    try:
        data = _called(operation, home, given)
        _print(operation, data, as_json)
    except KeyboardInterrupt:
        _fail("interrupted; what was finished is kept, run the command again to go on", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(0) from None
    except Exception as error:  # noqa: BLE001 - the process boundary: a person gets one line, never a traceback
        _fail(*_told(error))
    if not well(data):
        raise SystemExit(2 if operation.group == "config" else 3)


def _told(error: Exception) -> tuple[str, int]:
    """Return what to say of an error, and the exit code."""
    from metaevo.errors import BadInput, Busy, MetaevoError, Refused, SandboxUnavailable, Unwritable, cannot_write

    unwell = [(kind, 3) for kind in (Busy, Unwritable, SandboxUnavailable)]
    codes: list[tuple[type[Exception], int]] = [*unwell, (Refused, 4), (BadInput, 2)]
    for kind, code in codes:
        if isinstance(error, kind):
            return str(error), code
    if isinstance(error, MetaevoError):
        return str(error), 1
    if cannot_write(error):
        return f"{error}; make room or make it writable, then run the command again", 3
    if os.environ.get("METAEVO_TRACE"):
        raise error
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return f"{type(error).__name__} at {place}: {error}; please report this (METAEVO_TRACE=1 shows all of it)", 1


def _called(operation: Operation, home: Path | None, given: dict[str, JsonValue]) -> object:
    from services.home.home import Home, default_path

    operation.check(given)
    if "home" not in inspect.signature(operation.call).parameters:
        return operation.call(**given)
    fallback = (
        Path.home() / DEMO_HOME if operation.name == "demo" and "METAEVO_HOME" not in os.environ else default_path()
    )
    here = Home((home or fallback).expanduser().resolve())
    if not operation.home:
        return operation.call(home=here if home is not None or here.config_path.is_file() else None, **given)
    return operation.call(here, **given)


def _print(operation: Operation, data: object, as_json: bool) -> None:
    from services.text.render import SHOWN

    if as_json or operation.key not in SHOWN:
        from services.records import form

        print(form.text(operation.result, data, indent=None if as_json else 2))
    else:
        print(SHOWN[operation.key](data))
    sys.stdout.flush()


def _fail(text: str, code: int) -> None:
    print(f"metaevo: {' '.join(text.split())}", file=sys.stderr)
    raise SystemExit(code)


def main() -> None:
    """Run the command line; what it cannot understand is told in one line too."""
    try:
        code = build()(prog_name="metaevo", standalone_mode=False)
    except typer.Abort:
        _fail("stopped; nothing was changed", 1)
    except typer.TyperException as error:
        text = error.format_message().replace("\n", " ").rstrip(".")
        if "Usage:" in text:  # a command with nothing after it shows its help
            print(error.message, file=sys.stderr)
            raise SystemExit(2) from None
        context = getattr(error, "ctx", None)
        _fail(f"{text}; see `{context.command_path if context else 'metaevo'} --help`", 2)
    raise SystemExit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
