"""The change feed: a row for every change that the workers' in-memory snapshot has to learn of.

A row is written in the transaction of the change itself, so it is seen exactly when the change is. Every worker polls the
feed (``gateway.directory.directory``). Models take part by inheriting :class:`Announced`; a bulk ``update()`` announces itself through
the manager's query set.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from django.db import models, router, transaction

from accounts import audit

MANY = 100
"""A bulk update of more rows than this is announced as "many"."""


class Change(models.Model):
    """One change: ``kind`` is the model's label in lower case, ``object_id`` its primary key, empty for "many"."""

    kind = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id or '*'}"


def announce(kind: str, object_id: object = "", *, using: str | None = None) -> None:
    """Write a change of ``kind`` into the feed. Call it inside the transaction that makes the change."""
    Change.objects.using(using).create(kind=kind, object_id=str(object_id))


def announce_each(model: type[models.Model], keys: Iterable[object], *, using: str | None = None) -> None:
    """Write a change for each primary key into the feed."""
    kind = model._meta.label_lower
    Change.objects.using(using).bulk_create([Change(kind=kind, object_id=str(key)) for key in keys])


class AnnouncedQuerySet(models.QuerySet[Any]):
    """A query set whose bulk writes reach the change feed too."""

    def update(self, **kwargs: Any) -> int:
        with transaction.atomic(using=self.db):
            keys = list(self.order_by().values_list("pk", flat=True).distinct()[: MANY + 1])
            if len(keys) > MANY:
                rows = super().update(**kwargs)
                announce(self.model._meta.label_lower, using=self.db)
                audit.many_updated(self.model, rows, kwargs, self.db)
            else:  # named one by one, so that no worker has to look at all rows for the sake of a few
                named = self.model._base_manager.using(self.db).filter(pk__in=keys)
                before = audit.values_of(named, kwargs)
                rows = super(AnnouncedQuerySet, self.filter(pk__in=keys)).update(**kwargs)
                announce_each(self.model, keys, using=self.db)
                audit.updated(self.model, before, self.db)
        return rows

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with transaction.atomic(using=self.db):
            made = super().bulk_create(objs, *args, **kwargs)
            if len(made) > MANY or any(row.pk is None for row in made):
                announce(self.model._meta.label_lower, using=self.db)
            else:
                for row in made:
                    row.announce(self.db)
            if made:
                audit.added(made, self.db)
        return made

    def quietly_update(self, **kwargs: Any) -> int:
        """Update without announcing: for columns that the directory doesn't hold, like ``last_used_at``."""
        return super().update(**kwargs)


class Announced(models.Model):
    """A model whose every save and deletion is announced, and recorded in the audit log, in the same transaction.

    Deletions that cascade or come from a query set pass the ``pre_delete`` signal, which ``accounts.signals`` listens to.
    """

    objects = AnnouncedQuerySet.as_manager()

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with transaction.atomic(using=using):
            before = audit.stored(self, using, kwargs.get("update_fields"))
            super().save(*args, **kwargs)
            self.announce(using)
            audit.saved(self, before, using)

    def announce(self, using: str | None) -> None:
        """Write a change of this row into the feed."""
        announce(self._meta.label_lower, self.pk, using=using)

    audited_in_cascades: ClassVar[bool] = False
    """Whether a row that goes with another one, when that is deleted, has an audit entry of its own."""

    def audit_name(self) -> str:
        """Return the row's name in the audit log."""
        return str(self)

    def audit_place(self) -> tuple[str, str]:
        """Return the names of the provider account and of the team that the row belongs to; empty: none."""
        return "", ""

    @classmethod
    def announced_models(cls) -> list[type[Self]]:
        """Return every concrete model that announces itself."""
        found: list[type[Self]] = []
        pending = list(cls.__subclasses__())
        while pending:
            model = pending.pop()
            pending.extend(model.__subclasses__())
            if not model._meta.abstract:
                found.append(model)
        return found
