from decimal import Decimal

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    """A discount may be negative: nothing changes in the database."""

    dependencies = [("providers", "0005_account_streams_and_defaults")]

    operations = [
        migrations.AlterField(
            model_name="provideraccount",
            name="discount_percent",
            field=models.DecimalField(
                decimal_places=2,
                default=Decimal("0"),
                help_text="Off the list price; below zero it is a surcharge. "
                "What vendors add in a region is added without it.",
                max_digits=5,
                validators=[
                    django.core.validators.MinValueValidator(-100),
                    django.core.validators.MaxValueValidator(100),
                ],
            ),
        ),
    ]
