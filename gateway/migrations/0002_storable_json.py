from django.db import migrations, models

import gateway.models


class Migration(migrations.Migration):
    """How the values are written changes, not the columns: nothing to do in the database."""

    dependencies = [("gateway", "0001_initial")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="ownedobject",
                    name="data",
                    field=models.JSONField(blank=True, default=dict, encoder=gateway.models.StorableJSON),
                ),
                migrations.AlterField(
                    model_name="ownedobject",
                    name="metadata",
                    field=models.JSONField(
                        blank=True,
                        default=dict,
                        encoder=gateway.models.StorableJSON,
                        help_text="x-tfy-metadata of the call that made it",
                    ),
                ),
            ]
        )
    ]
