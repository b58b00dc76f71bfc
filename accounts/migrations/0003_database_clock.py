import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Changes get their moments from the database's clock, not from each process. No column changes."""

    dependencies = [("accounts", "0002_audit_log")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "change", "created_at", models.DateTimeField(default=django.utils.timezone.now, db_index=True)
                )
            ]
        )
    ]
