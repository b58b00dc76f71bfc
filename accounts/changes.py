"""The change feed: a row for every change that the workers' in-memory snapshot has to learn of.

A row is written in the transaction of the change itself, so it is seen exactly when the change is. Every worker polls
the feed (``gateway.directory.directory``). Models take part by inheriting :class:`Announced`; a bulk ``update()``
announces itself through the manager's query set.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.db import models, router, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit

MANY = 100
"""A bulk update of more rows than this is announced as "many"."""


class Change(models.Model):
    """One change: ``kind`` is the model's label in lower case, ``object_id`` its primary key, empty for "many".

    ``created_at`` is the database's time: workers see from it which ids may still be missing.
    """

    kind = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id or '*'}"


def announce(kind: str, object_id: object = "", *, using: str | None = None) -> None:
    """Write a change of ``kind`` into the feed. Call it inside the transaction that makes the change."""
    Change.objects.using(using).create(kind=kind, object_id=str(object_id), created_at=Now())


def announce_each(kind: str, keys: Iterable[object], *, using: str | None = None) -> None:
    """Write a change of ``kind`` for each primary key into the feed."""
    rows = [Change(kind=kind, object_id=str(key), created_at=Now()) for key in keys]
    Change.objects.using(using).bulk_create(rows)


class AnnouncedQuerySet(models.QuerySet[Any]):
    """A query set whose bulk writes reach the change feed too."""

    def update(self, **kwargs: Any) -> int:
        kind, path = self.model.announced_kind(), self.model.announced_key
        column = self.model.owner_column()
        with transaction.atomic(using=self.db):
            found = list(self.order_by().values_list("pk", path).distinct()[: MANY + 1])
            if len(found) > MANY or not {column, column.removesuffix("_id")}.isdisjoint(kwargs):
                rows = super().update(**kwargs)
                announce(kind, using=self.db)
                audit.many_updated(self.model, rows, kwargs, self.db)
            else:  # named one by one, so that no worker has to look at all rows for the sake of a few
                keys = [pk for pk, _ in found]
                before = audit.values_of(self.model._base_manager.using(self.db).filter(pk__in=keys), kwargs)
                rows = super(AnnouncedQuerySet, self.filter(pk__in=keys)).update(**kwargs)
                announce_each(kind, dict.fromkeys(key for _, key in found), using=self.db)
                audit.updated(self.model, before, self.db)
        return rows

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            created = super().bulk_create(objs, *args, **kwargs)
            if len(created) > MANY or any(row.pk is None for row in created):
                announce(self.model.announced_kind(), using=self.db)
            else:
                keys = [key for row in created for key in row.announced_keys()]
                announce_each(self.model.announced_kind(), dict.fromkeys(keys), using=self.db)
            if created:
                audit.added(created, self.db)
        return created

    def quietly_update(self, **kwargs: Any) -> int:
        """Update without announcing: for columns that the directory doesn't hold, like ``last_used_at``."""
        return super().update(**kwargs)


class Announced(models.Model):
    """A model whose every save and deletion is announced, and recorded in the audit log, in the same transaction.

    Rows that workers only hold as parts of another row announce that one: ``announced_as`` is its label in lower case,
    ``announced_key`` the path from the row to its primary key. Deletions that cascade or come from a query set pass the
    ``pre_delete`` signal, which ``accounts.signals`` listens to.
    """

    announced_as: ClassVar[str] = ""
    announced_key: ClassVar[str] = "pk"
    _stored_owner: Any = None

    objects = AnnouncedQuerySet.as_manager()

    class Meta:
        abstract = True

    @classmethod
    def announced_kind(cls) -> str:
        """Return the label that rows of this model are announced under."""
        return cls.announced_as or cls._meta.label_lower

    @classmethod
    def owner_column(cls) -> str:
        """Return the row's own column that ``announced_key`` begins with."""
        head, _, rest = cls.announced_key.partition("__")
        return f"{head}_id" if rest else head

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        instance = super().from_db(*args, **kwargs)
        instance._stored_owner = instance.__dict__.get(cls.owner_column())
        return instance

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            before = audit.stored(self, using, kwargs.get("update_fields"))
            super().save(*args, **kwargs)
            self.announce(using)
            audit.saved(self, before, using)

    def announced_keys(self) -> list[object]:
        """Return the primary keys to announce: of the row that this one belongs to, and of the one that it belonged
        to."""
        key = getattr(self, self.announced_key)
        return [key] if self._stored_owner in (None, key) else [key, self._stored_owner]

    def announce(self, using: str | None) -> None:
        """Write a change of this row into the feed."""
        announce_each(self.announced_kind(), self.announced_keys(), using=using)
        self._stored_owner = getattr(self, self.owner_column())

    audited_in_cascades: ClassVar[bool] = False
    """Whether a row that goes with another one, when that is deleted, has an audit entry of its own."""

    def audit_name(self) -> str:
        """Return the row's name in the audit log."""
        return str(self)

    def audit_place(self) -> tuple[str, str]:
        """Return the names of the provider account and of the team that the row belongs to; empty: none."""
        return "", ""
