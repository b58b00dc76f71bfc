import django.utils.timezone
from django.db import migrations, models

MOMENTS = ("created_at", "updated_at")


class Migration(migrations.Migration):
    """Rows get their moments from the database's clock, not from each process. No column changes."""

    dependencies = [("gateway", "0002_storable_json")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField("ownedobject", name, models.DateTimeField(default=django.utils.timezone.now))
                for name in MOMENTS
            ]
            + [
                migrations.AlterField(
                    "ownedobject",
                    "fault",
                    models.CharField(
                        max_length=300, blank=True, default="", help_text="Why the last poll of it failed"
                    ),
                )
            ]
        )
    ]
