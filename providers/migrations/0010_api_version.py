import re

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0009_console_names"),
    ]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="api_version",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Azure only: the api-version that calls name. Empty: none below …/openai/v1, 2025-04-01-preview below …/openai.",
                max_length=40,
                validators=[
                    django.core.validators.RegexValidator(
                        re.compile("^(v1|latest|preview|20\\d\\d-\\d\\d-\\d\\d(-preview)?)\\Z"),
                        "Write it like 2024-10-21, 2025-04-01-preview, v1 or preview.",
                    )
                ],
                verbose_name="API version",
            ),
        ),
    ]
