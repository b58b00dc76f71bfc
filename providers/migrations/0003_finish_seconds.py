import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("providers", "0002_kinds_from_the_table"),
    ]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="finish_seconds",
            field=models.FloatField(
                db_default=0,
                default=0,
                help_text="Seconds that a call may take to finish when its client leaves, for a vendor that bills the whole anyway: then the record has its real usage. 0: the call is ended at once and its usage estimated.",
                validators=[
                    django.core.validators.MinValueValidator(0),
                    django.core.validators.MaxValueValidator(600),
                ],
            ),
        ),
    ]
