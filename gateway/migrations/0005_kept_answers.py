from django.db import migrations, models


class Migration(migrations.Migration):
    """A table for the first answers to calls with an idempotency key. The previous release does not know of it."""

    dependencies = [("gateway", "0004_kept_responses")]

    operations = [
        migrations.CreateModel(
            name="KeptAnswer",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scope", models.CharField(max_length=64, unique=True)),
                ("owner_key", models.CharField(help_text="user:7 or virtualaccount:2", max_length=40)),
                ("claim", models.CharField(max_length=32)),
                ("leased_until", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField()),
                ("size", models.PositiveBigIntegerField(default=0)),
                ("about", models.BinaryField(null=True)),
                ("body", models.BinaryField(null=True)),
            ],
            options={"indexes": [models.Index(fields=["expires_at", "size"], name="kept_answer_expiry")]},
        )
    ]
