"""`AuditLog`, the plugin behind `DB.enable_audit_log` and `DB.enable_change_tracking`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamorm.errors import ConfigError, ModelError, ValidationError
from dynamorm.errors.log import logger
from dynamorm.plugin import OfOneProcess, family_of

from .acting import Both, OnlyOnce
from .config import ChangeTrackingConfig, KeySource, check_source
from .fields import AuditFields, check_type, fields_of
from .model import Tracked
from .option import Audit
from .tracking import Tracking

if TYPE_CHECKING:
    from dynamorm.plugin import WriteRule


class AuditLog(OfOneProcess):
    """Fills in `Audit` fields, and records the changes of the models that are tracked.

    ``audit_key`` is that of models whose `ChangeTrackingConfig` has none. ``require_actor=False`` lets writes be made by nobody,
    who is called ``"-"`` then.

    Example: ``db.use(AuditLog(audit_key=key))``, or ``db.enable_audit_log(audit_key=key)``
    """

    name = "audit"
    options: tuple[type[Any], ...] = (Audit,)
    asks_actor = True

    def __init__(self, *, audit_key: KeySource | None = None, require_actor: bool = True) -> None:
        check_source(audit_key)
        self.audit_key: KeySource | None = audit_key
        self.require_actor: bool = require_actor
        self._configs: dict[type[Any], ChangeTrackingConfig] = {}
        self._tracked: dict[type[Any], Tracked] = {}
        self._production = False
        self._told = False

    def joined(self, db: Any) -> None:
        """Remember whether everybody may know the key."""
        self._production = db.config.preset == "production"

    def track(self, schema: Any, config: Any) -> None:
        """Track a model. Raises: ConfigError, ModelError."""
        if not isinstance(config, ChangeTrackingConfig):
            raise ConfigError(
                f"enable_change_tracking takes a model and a ChangeTrackingConfig(fields=[...], store=...), not"
                f" {type(config).__name__}"
            )
        if schema.model in self._configs:
            raise ConfigError(f"change tracking of {schema.name} is enabled already")
        if schema.table is None:
            raise ConfigError(f"{schema.name} has no table of its own: track the models that are stored")
        self._check_store(schema, config)
        root = family_of(schema.model)[0]
        if root is not schema.model:
            raise ModelError(
                f"items of {schema.name} are written by {root.__name__}, too, and by all classes that share its table, which"
                f" would leave no record: track {root.__name__}, with fields that it has"
            )
        source = self.audit_key if config.audit_key is None else config.audit_key
        if source is None:
            self._without_key(schema.name)
        self._tracked[schema.model] = Tracked(schema, config, source)
        self._configs[schema.model] = config

    def _check_store(self, schema: Any, config: ChangeTrackingConfig) -> None:
        """Refuse a store that is the table of a tracked model. Raises: ConfigError."""
        tables = {tracked.table: tracked.label for tracked in self._tracked.values()}
        if config.store in tables:
            raise ConfigError(
                f"store of ChangeTrackingConfig for {schema.name} is the table of {tables[config.store]}: name a table of its own"
            )
        if any(schema.table == other.store for other in self._configs.values()):
            raise ConfigError(f"the table of {schema.name} is the store of another model's records: track it elsewhere")

    def _without_key(self, name: str) -> None:
        if self._production:
            raise ConfigError(
                f"change tracking of {name} has no audit_key, so that everybody could forge its records:"
                " ChangeTrackingConfig(audit_key=...), at least 32 random bytes from where secrets are kept"
            )
        if not self._told:
            logger.warning(
                "change tracking has no audit_key: its records are made with a key that everybody knows, which is for"
                " development alone"
            )
            self._told = True

    def of(self, model: type[Any]) -> Tracked:
        """What is tracked of a model. Raises: ConfigError."""
        given: object = model
        if not isinstance(given, type):
            raise ValidationError(
                "db.audit takes the model first, and then the key, as db.get does, not"
                f" {'text' if isinstance(given, str) else 'an object of ' + type(given).__name__}",
                field="model",
            )
        for kind in model.__mro__:
            if kind in self._tracked:
                return self._tracked[kind]
        raise ConfigError(
            f"changes of {model.__name__} are not tracked: db.enable_change_tracking({model.__name__},"
            " ChangeTrackingConfig(fields=[...], store=...)), right after the database is made"
        )

    @property
    def tracked(self) -> tuple[Tracked, ...]:
        """All that is tracked."""
        return tuple(self._tracked.values())

    def model(self, schema: Any) -> Any:
        """Look at the `Audit` fields of a model. Raises: ModelError for a type that cannot hold what they keep."""
        for field in fields_of(schema):
            check_type(field)
        return schema

    def write_rule(self, schema: Any) -> WriteRule | None:
        """The rule of an audited model, and that of the records."""
        if any(schema.model is tracked.row for tracked in self._tracked.values()):
            return OnlyOnce()
        rules: list[WriteRule] = []
        found = next((self._tracked[kind] for kind in schema.model.__mro__ if kind in self._tracked), None)
        if any(True for _ in fields_of(schema)):
            hidden = frozenset() if found is None else found.hidden
            rules.append(AuditFields(schema, require_actor=self.require_actor, hidden=hidden))
        if found is not None:
            rules.append(Tracking(found, require_actor=self.require_actor))
        if len(rules) > 1:
            return Both(*rules)
        return rules[0] if rules else None

    def companions(self, schema: Any) -> tuple[type[Any], ...]:
        """The stores of a model's records."""
        return tuple(self._tracked[kind].row for kind in schema.model.__mro__ if kind in self._tracked)
