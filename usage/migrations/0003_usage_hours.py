"""Sums by the hour. They stay empty: a later migration makes sums of all records, in other tables."""

from django.db import migrations, models

SUMS = (
    "requests",
    "attempts",
    "errors",
    "refused",
    "unpriced",
    "partly_priced",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_high",
    "cost_low",
)


class Migration(migrations.Migration):
    dependencies = [("usage", "0002_attempt_details")]

    operations = [
        migrations.CreateModel(
            name="UsageHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=64, unique=True)),
                ("hour", models.DateTimeField()),
                ("account", models.CharField(max_length=64)),
                ("model", models.CharField(max_length=365)),
                ("subject_type", models.CharField(max_length=16)),
                ("subject_name", models.CharField(max_length=254)),
                ("teams", models.TextField()),
                *((name, models.BigIntegerField()) for name in SUMS),
            ],
            options={
                "indexes": [
                    models.Index(fields=["hour"], name="usage_hour"),
                    models.Index(fields=["account", "hour"], name="usage_hour_account"),
                    models.Index(fields=["subject_name", "hour"], name="usage_hour_subject"),
                ]
            },
        ),
    ]
