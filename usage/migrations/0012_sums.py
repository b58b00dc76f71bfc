"""Tables of sums by the hour and the day, in several cuts."""

from typing import Any

from django.db import migrations, models

SUMS = (
    "requests",
    "attempts",
    "errors",
    "refused",
    "unpriced",
    "partly_priced",
    "estimated",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_high",
    "cost_low",
)


def vacuum_often(apps: Any, editor: Any) -> None:
    """New rows come and go all the time, and take the place of others only when those are vacuumed."""
    if editor.connection.vendor == "postgresql":
        for table in ("usage_usagesum", "usage_usagetime"):
            editor.execute(
                f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000)"
            )


class Migration(migrations.Migration):
    dependencies = [("usage", "0011_exported_files")]

    operations = [
        migrations.CreateModel(
            name="SumsState",
            fields=[
                ("id", models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("sealed_until", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="UsageSum",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(editable=False, null=True, unique=True)),
                ("part", models.SmallIntegerField()),
                ("bucket", models.DateTimeField()),
                ("account", models.CharField(max_length=64)),
                ("model", models.CharField(max_length=365)),
                ("subject_type", models.CharField(max_length=16)),
                ("subject_name", models.CharField(max_length=254)),
                ("teams", models.TextField()),
                ("token", models.CharField(max_length=16)),
                ("outcome", models.CharField(max_length=40)),
                ("batch", models.CharField(max_length=8)),
                ("meta_key", models.CharField(max_length=64)),
                ("meta_value", models.CharField(max_length=200)),
                *((name, models.BigIntegerField()) for name in SUMS),
            ],
            options={
                "indexes": [
                    models.Index(fields=["part", "bucket"], name="usage_sum_time"),
                    models.Index(fields=["part", "account", "bucket"], name="usage_sum_account"),
                    models.Index(fields=["part", "model", "bucket"], name="usage_sum_model"),
                    models.Index(fields=["part", "subject_name", "bucket"], name="usage_sum_subject"),
                ]
            },
        ),
        migrations.CreateModel(
            name="UsageTime",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.UUIDField(editable=False, null=True, unique=True)),
                ("part", models.SmallIntegerField()),
                ("bucket", models.DateTimeField()),
                ("account", models.CharField(max_length=64)),
                ("model", models.CharField(max_length=365)),
                ("measure", models.SmallIntegerField()),
                ("calls", models.BigIntegerField()),
                ("slots", models.TextField(db_default="{}", default="{}")),
            ],
            options={"indexes": [models.Index(fields=["part", "bucket"], name="usage_time_time")]},
        ),
        migrations.RunPython(vacuum_often, migrations.RunPython.noop),
    ]
