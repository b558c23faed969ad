"""`Tables`, the part of the blocking face that makes, checks, changes and deletes tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from dynamorm.models.schema.schema import schema_of

from ...errors import InvalidUse

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from dynamorm.codec.replies.backups import Backup
    from dynamorm.codec.replies.table_description import TableDescription
    from dynamorm.features.tables.apply import Progress
    from dynamorm.features.tables.plan import TablePlan
    from dynamorm.features.tables.steps import Step
    from dynamorm.models.schema.table_settings import TableSettings
    from dynamorm.session import Session

WAIT = 300.0
"""Seconds to wait for a table by default: AWS makes one in under a minute, and indexes on a new table cost no more."""
WAIT_FOR_PLAN = 3600.0
"""Seconds to wait for a plan by default: an index on a full table takes as long as copying its items does."""


class Tables:
    """The tables of a database. Made by `DB.tables`."""

    __slots__ = ("_run", "_session")

    def __init__(self, session: Session, run: Callable[[Any], Any]) -> None:
        self._session = session
        self._run = run

    @overload
    def create(
        self,
        model: type[Any],
        /,
        *,
        settings: TableSettings | None = ...,
        timeout: float | timedelta = ...,
        skip_unavailable: bool = ...,
    ) -> TableDescription: ...
    @overload
    def create(
        self,
        model: type[Any],
        other: type[Any],
        /,
        *more: type[Any],
        settings: TableSettings | None = ...,
        timeout: float | timedelta = ...,
        skip_unavailable: bool = ...,
    ) -> list[TableDescription]: ...
    def create(
        self,
        *models: Any,
        settings: TableSettings | None = None,
        timeout: float | timedelta = WAIT,
        skip_unavailable: bool = False,
    ) -> Any:
        """Create the model's table with its indexes and settings, and wait until it is ready. Items expire by its ttl field.

        Several models may share a table: it gets the keys and indexes of all, and a list of the tables is returned. A
        model with a discriminator stands for its whole family. ``settings`` replaces the class setting of that name;
        without either the table is billed on demand. ``skip_unavailable`` passes over what a local engine lacks.

        Raises: ClientError with code ``ResourceInUseException`` when it exists; ModelError when models of one table
        contradict each other; DeadlineExceeded after ``timeout`` seconds.

        Example: ``db.tables.create(Payment, settings=TableSettings(deletion_protection=True))``
        """
        made = self._run(
            self._session.verbs.lifecycle.create(
                self._session, models, settings, timeout, skip_unavailable=skip_unavailable
            )
        )
        return made if len(models) > 1 else made[0]

    @overload
    def ensure(
        self,
        model: type[Any],
        /,
        *,
        settings: TableSettings | None = ...,
        timeout: float | timedelta = ...,
        skip_unavailable: bool = ...,
    ) -> TableDescription: ...
    @overload
    def ensure(
        self,
        model: type[Any],
        other: type[Any],
        /,
        *more: type[Any],
        settings: TableSettings | None = ...,
        timeout: float | timedelta = ...,
        skip_unavailable: bool = ...,
    ) -> list[TableDescription]: ...
    def ensure(
        self,
        *models: Any,
        settings: TableSettings | None = None,
        timeout: float | timedelta = WAIT,
        skip_unavailable: bool = False,
    ) -> Any:
        """Create the model's table unless it is there; then check that its keys and indexes fit the model.

        Of a table that is there only the expiry of items and point-in-time recovery are switched on, if they are not;
        `plan` and `apply` change the rest. Everything else is as with `create`.

        Raises: ModelError when the live table does not fit, saying in what; DeadlineExceeded after ``timeout`` seconds.

        Example: ``db.tables.ensure(Payment)`` or ``db.tables.ensure(Customer, Order)``
        """
        found = self._run(
            self._session.verbs.lifecycle.ensure(
                self._session, models, settings, timeout, skip_unavailable=skip_unavailable
            )
        )
        return found if len(models) > 1 else found[0]

    def describe(self, model: type[Any], /) -> TableDescription:
        """The live table: status, keys, indexes, billing, expiry, stream, recovery, encryption, tags.

        What neither the engine nor the permissions tell is None.

        Raises: TableNotFound.

        Example: ``db.tables.describe(Payment).status``
        """
        return self._run(self._session.verbs.lifecycle.describe(self._session, model))

    def names(self) -> list[str]:
        """The names of all tables that begin with the ``table_prefix`` of the settings.

        Example: ``"payments" in db.tables.names()``
        """
        return self._run(self._session.verbs.look.names(self._session))

    def name_of(self, model: type[Any], /) -> str:
        """What the table of a model is called in DynamoDB: its name with the ``table_prefix``. Plain on both faces; nothing is sent.

        Raises: InvalidUse for what is no model of a table.

        Example: ``db.tables.name_of(Payment) == "test-payments"``
        """
        schema = schema_of(model)
        if schema.table is None:
            raise InvalidUse(f"{schema.name} has no table of its own: it is a part of others, or a Mixin")
        return self._session.config.table_prefix + schema.table

    def wait(self, *models: type[Any], timeout: float | timedelta = WAIT) -> None:
        """Wait until the models' tables and their global indexes are ready.

        Raises: DeadlineExceeded after ``timeout`` seconds, saying what is not ready.

        Example: ``db.tables.wait(Payment, timeout=60)``
        """
        self._run(self._session.verbs.lifecycle.wait(self._session, models, timeout))

    def check(self, *models: type[Any]) -> tuple[str, ...]:
        """Check at start-up that the live tables fit the models; nothing is changed.

        Keys, types, indexes and what they project, indexes that are still being made, and the attribute that expires
        items are compared. Returns what is different and does no harm, such as an index that no model names.

        Raises: ModelError with everything that does not fit, in all tables.

        Example: ``db.tables.check(Payment, Order)``
        """
        return self._run(self._session.verbs.lifecycle.check(self._session, models))

    def plan(self, *models: type[Any], settings: TableSettings | None = None, allow_delete: bool = False) -> TablePlan:
        """Compare the models with the live tables: what would have to be done, what cannot be, and what is worth knowing.

        Name all models of a table: an index that none of them, or of the families of those with a discriminator, has is
        not theirs. ``allow_delete`` plans to delete such indexes, and to make those anew that cannot be changed.
        ``settings`` replaces the class setting of that name.

        Raises: ModelError when models of one table contradict each other.

        Example: ``print(db.tables.plan(Payment))``
        """
        return self._run(self._session.verbs.plan.plan(self._session, models, settings, allow_delete=allow_delete))

    def apply(
        self,
        plan: TablePlan,
        /,
        *,
        progress: Callable[[Progress], object] | None = None,
        timeout: float | timedelta = WAIT_FOR_PLAN,
        skip_unavailable: bool = False,
    ) -> tuple[Step, ...]:
        """Make a plan, step by step, waiting for each; one index at a time. Returns the steps that were made.

        It may be interrupted and made again: what is done is not done twice. ``progress`` is called with a `Progress`
        before, during and after each step.

        Raises: ModelError when the plan has problems, or a table is not as the plan saw it any more, before anything is
        changed; DeadlineExceeded after ``timeout`` seconds; OutcomeUnknown when it cannot be told whether a step was made.

        Example: ``db.tables.apply(db.tables.plan(Payment), progress=print)``
        """
        return self._run(
            self._session.verbs.apply.apply(self._session, plan, progress, timeout, skip_unavailable=skip_unavailable)
        )

    def delete(self, *models: type[Any], force: bool = False, timeout: float | timedelta = WAIT) -> None:
        """Delete the models' tables with all their items, and wait until they are gone. Nothing happens where there is none.

        ``force`` lifts a table's deletion protection first.

        Raises: ValidationError with code ``ErrDeletionProtected`` when the table is protected.

        Example: ``db.tables.delete(Payment)``
        """
        self._run(self._session.verbs.lifecycle.delete(self._session, models, timeout, force=force))

    def create_backup(self, model: type[Any], name: str, /, *, timeout: float | timedelta = WAIT) -> Backup:
        """Make a backup of a model's table under a name, 3 to 255 letters, digits and ``_.-``, and wait until it is ready.

        It holds the items as they are at about this moment; the table is in use meanwhile. Several may have one name.

        Raises: TableNotFound; ClientError with code ``UnknownOperationException`` on an engine that has no backups; DeadlineExceeded after
        ``timeout`` seconds; OutcomeUnknown when it cannot be told whether it was made.

        Example: ``backup = db.tables.create_backup(Payment, "before-release-7")``
        """
        return self._run(self._session.verbs.backups.create(self._session, model, name, timeout))

    def list_backups(self, model: type[Any] | None = None, /) -> list[Backup]:
        """The backups of a model's table; without a model those of all tables that begin with the ``table_prefix``.

        Example: ``[backup.name for backup in db.tables.list_backups(Payment)]``
        """
        return self._run(self._session.verbs.backups.every(self._session, model))

    def delete_backup(self, backup: Backup | str, /, *, timeout: float | timedelta = WAIT) -> None:
        """Delete a backup, given as it is or by its ARN, and wait until it is gone. Nothing happens where there is none.

        Example: ``db.tables.delete_backup(backup)``
        """
        self._run(self._session.verbs.backups.delete(self._session, backup, timeout))

    def restore_backup(
        self, backup: Backup | str, model: type[Any], /, *, timeout: float | timedelta = WAIT_FOR_PLAN
    ) -> TableDescription:
        """Make the table of a model, which must not be there, of a backup, and wait until it is ready.

        It has the items, keys, indexes and billing of the table that the backup is of. Expiry, tags, streams, recovery and protection are not
        part of a backup: plan and apply them, or call `ensure`, afterwards. Beside the table itself it is restored by a database with another ``table_prefix``.

        Raises: ClientError with code ``TableAlreadyExistsException`` where the table is there, and ``BackupNotFoundException``; as `create_backup`.

        Example: ``db.tables.restore_backup(backup, Payment)``
        """
        return self._run(self._session.verbs.backups.restore(self._session, backup, model, timeout))
