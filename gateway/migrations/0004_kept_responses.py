import fernet_fields.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    """A table for what responses hold that Gatehouse keeps itself. The previous release does not know of it."""

    dependencies = [("gateway", "0003_database_clock")]

    operations = [
        migrations.CreateModel(
            name="KeptResponse",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("object_id", models.CharField(max_length=200)),
                ("account_name", models.CharField(max_length=64)),
                ("content", fernet_fields.fields.EncryptedTextField()),
                ("expires_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("account_name", "object_id"), name="one_kept_response_per_id")
                ],
            },
        )
    ]
