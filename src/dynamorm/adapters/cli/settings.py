"""The options that every command has, and the database that they name. It must not know commands."""

from __future__ import annotations

import os
import pickle
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple

from dynamorm import DB, Config, Credentials, Presets
from dynamorm.adapters.cli.ends import Code, Stop
from dynamorm.adapters.cli.out import Out
from dynamorm.codec.strict import PageJson
from dynamorm.config.endpoint import parse_endpoint
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, ModelError
from dynamorm.features.raw import RawTable
from dynamorm.models.schema.schema import SCHEMAS, Schema
from dynamorm.spread import portable, received

_ENDPOINTS: Final = ("DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL", "DYNAMORM_ENDPOINT")


class Options(NamedTuple):
    """What is said of where and how, in front of a command or behind it."""

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    prefix: str | None = None
    models: str | None = None
    json: bool = False
    debug: bool = False

    def over(self, others: Options) -> Options:
        """These options, and the others where these say nothing."""
        return self._replace(**{name: other for name, other in others._asdict().items() if not getattr(self, name)})


class OfTables:
    """Claims the options of all plugins, for who looks at keys, indexes and settings, which do not depend on them."""

    name = "tables of the command line"
    options: tuple[type[Any], ...] = (object,)


class Settings:
    """What a command is given: its options, its database, which is opened on first use, and its streams."""

    def __init__(self, options: Options, config: Config | None = None) -> None:
        self.options: Options = options
        self._config = config
        self.out: Out = Out(json=options.json)
        self._opened: list[DB] = []

    @cached_property
    def db(self) -> DB:
        """The database that the options and the environment name. Raises: ConfigError."""
        return self.open(self.options, self._config)

    @cached_property
    def tables_db(self) -> DB:
        """The same for tables alone: it takes models with options of plugins, whose items it could neither read nor write."""
        db = self.open(self.options, self._config)
        db.use(OfTables())
        return db

    def open(self, options: Options, config: Config | None = None) -> DB:
        """A database, which is closed at the end of the command. ``config``: with these settings, whatever the options say."""
        db = DB(config_of(options) if config is None else config)
        self._opened.append(db)
        return db

    def table(self, name: str, db: DB | None = None, spent: Callable[[float], object] | None = None) -> Table:
        """A table by its name, without models. ``spent`` is told the units that are consumed."""
        return Table(self.db if db is None else db, name, spent)

    def model(self, name: str) -> type[Any] | None:
        """The model of ``--models`` that a table's or a class's name means; None without ``--models``."""
        if self.options.models is None:
            return None
        schemas = schemas_of(self.options.models)
        found = [schema for schema in schemas if name in {schema.name, schema.table}]
        if len(found) != 1:
            names = ", ".join(sorted(f"{schema.name} ({schema.table})" for schema in found or schemas))
            what = "several models" if found else "no model"
            raise Stop(Code.USAGE, f"{self.options.models} has {what} for {name!r}: name one of {names}")
        return found[0].model

    def own(self, db: DB) -> None:
        """Close this database at the end, too."""
        self._opened.append(db)

    def close(self) -> None:
        """Close what was opened."""
        for db in self._opened:
            with suppress(Exception):
                db.close()


class Table:
    """One table on a database, without a model: `RawTable`, driven. Its key is looked up on first use."""

    def __init__(self, db: DB, name: str, spent: Callable[[float], object] | None = None) -> None:
        if not name:
            raise Stop(Code.USAGE, "the name of a table is empty")
        self.db: DB = db
        self.name: str = db.config.table_prefix + name
        self.raw: RawTable = RawTable(db._session, self.name, spent)  # noqa: SLF001 - it belongs to the library

    def run(self, flow: Flow[Any]) -> Any:
        """Drive a flow."""
        return self.db._io.run(flow)  # noqa: SLF001 - as above

    def page(self, operation: str, said: Mapping[str, Any], start: bytes | None) -> PageJson:
        """One page of a Query or a Scan."""
        found: PageJson = self.run(self.raw.page(operation, said, start))
        return found

    def counted(self, spent: Callable[[float], object]) -> Table:
        """The same table, for one part of a long command, which counts its own units."""
        table = Table(self.db, self.name[len(self.db.config.table_prefix) :], spent)
        table.shape = self.shape
        return table

    def __reduce__(self) -> tuple[Any, ...]:
        """A table in another process: on a database there, with credentials that are found there."""
        config = self.db.config
        if config.engine is not None and config.endpoint is not None and "://127.0.0.1:" in config.endpoint:
            config = config.replace(engine=None)  # it is this process's own, and served
        return _there, (portable(config, None), self.name[len(config.table_prefix) :], self.shape)

    @cached_property
    def shape(self) -> Any:
        """What DescribeTable tells. Raises: TableNotFound."""
        return self.run(self.raw.describe())

    @cached_property
    def place(self) -> list[str]:
        """What tells this table from every other one: of another account, Region or server, and one made anew by its name.

        Account and Region stand in the ARN. Of a server that gives its tables no ids (DynamoDB Local), its endpoint and the time at
        which the table was made tell it.
        """
        shape = self.shape
        return [self.name, shape.arn or "", shape.id or f"{self.db.config.endpoint} {shape.created}"]

    @property
    def keys(self) -> tuple[str, ...]:
        """The stored names of the key, partition first."""
        shape = self.shape
        return (shape.partition,) if shape.sort is None else (shape.partition, shape.sort)


class Spent:
    """Adds up units."""

    def __init__(self) -> None:
        self.units: float = 0.0

    def __call__(self, units: float) -> None:
        """Add some."""
        self.units += units


_DATABASES: Final[dict[bytes, DB]] = {}
"""Of a worker's process, by their settings: a worker does many parts of a command."""
_OPENING: Final = threading.Lock()


def _there(config: Config, name: str, shape: Any) -> Table:
    """The table that was sent to this process."""
    known = pickle.dumps(config)
    with _OPENING:
        if known not in _DATABASES:
            keys = _keys() if config.preset == "local_development" and config.profile is None else None
            _DATABASES[known] = DB(received(config) if keys is None else config.replace(credentials=keys))
        table = Table(_DATABASES[known], name)
    table.shape = shape
    return table


def _keys() -> Credentials | None:
    """Those of the environment."""
    keys = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return Credentials(str(keys[0]), str(keys[1]), os.environ.get("AWS_SESSION_TOKEN")) if all(keys) else None


def config_of(options: Options) -> Config:
    """The settings that options and environment make. A plain endpoint on this machine is an emulator's."""
    named = {"region": options.region, "profile": options.profile, "table_prefix": options.prefix}
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    endpoint = options.endpoint or next(filter(None, map(os.environ.get, _ENDPOINTS)), None)
    if options.endpoint is not None:
        given["endpoint"] = options.endpoint
    if endpoint is None or os.environ.get("DYNAMORM_PRESET") or not _is_emulator(endpoint):
        return Config.from_env(**given)
    if options.profile is not None:
        return Config.from_env(allow_insecure_local=True, **given)
    keys = _keys()
    if keys is not None:  # engines that keep accounts apart show what these have made
        given["credentials"] = keys
    return Presets.local_development(**given)


def _is_emulator(endpoint: str) -> bool:
    with suppress(ConfigError):
        parts = parse_endpoint(endpoint)
        return parts.loopback and parts.scheme == "http"
    return False


def module_of(name: str) -> Any:
    """A module by its name, of the folder that the command is run in, too. Raises: Stop."""
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise Stop(
                Code.USAGE, f"there is no module {name!r}: run the command in its folder, or set PYTHONPATH"
            ) from None
        raise Stop(Code.USAGE, f"the module {name!r} needs {missing!r}, which is not installed") from None
    except (ImportError, TypeError, ValueError):
        raise Stop(Code.USAGE, f"{name!r} cannot be imported: give a module such as shop.models") from None
    except Exception as error:
        raise Stop(Code.USAGE, f"importing {name!r} raised {type(error).__name__}: mend the module") from error


def schemas_of(names: str) -> list[Schema]:
    """The models with a table in modules that are named, with commas between, or in parts of them: ``module:Model``."""
    found: list[Schema] = []
    for name in filter(None, names.split(",")):
        module_name, _, wanted = name.partition(":")
        module = module_of(module_name)
        classes = [getattr(module, wanted, None)] if wanted else list(vars(module).values())
        some = [SCHEMAS[one] for one in classes if isinstance(one, type) and one in SCHEMAS and SCHEMAS[one].table]
        if not some:
            what = f"no model {wanted!r} with a table" if wanted else "no model with a table"
            raise Stop(Code.USAGE, f"the module {module_name!r} has {what}")
        found += [schema for schema in some if schema not in found]
    if not found:
        raise Stop(Code.USAGE, "name a module, or module:Model")
    return found


def models_of(names: list[str]) -> list[type[Any]]:
    """The models that arguments name, as ``module:Model``, or ``module`` for all of it."""
    try:
        return [schema.model for schema in schemas_of(",".join(names))]
    except ModelError as error:
        raise Stop(Code.USAGE, error.message) from None


def function_of(name: str) -> Callable[..., Any]:
    """A function of a program, by ``module:function``. Raises: Stop."""
    module_name, _, wanted = name.partition(":")
    if not module_name or not wanted:
        raise Stop(Code.USAGE, f"{name!r} is no function: write module:function")
    found = getattr(module_of(module_name), wanted, None)
    if not callable(found):
        raise Stop(Code.USAGE, f"the module {module_name!r} has no function {wanted!r}")
    function: Callable[..., Any] = found
    return function
