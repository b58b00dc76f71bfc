import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rows get their moments from the database's clock, not from each process. No column changes."""

    dependencies = [("batches", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("notice", "created_at", models.DateTimeField(default=django.utils.timezone.now))
            ]
        )
    ]
