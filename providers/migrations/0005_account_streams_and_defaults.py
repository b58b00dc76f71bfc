from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns with defaults of the database's: the previous release may still insert accounts without them."""

    dependencies = [("providers", "0004_seals")]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="default_models",
            field=models.JSONField(
                blank=True,
                db_default=models.Value({}, output_field=models.JSONField()),
                default=dict,
                help_text="Models of calls that name none, by operation or model type, for example "
                '{"moderation": "omni-moderation-latest"}. What is left out is as the vendor has it.',
            ),
        ),
        migrations.AddField(
            model_name="provideraccount",
            name="stream_usage",
            field=models.CharField(
                choices=[
                    ("auto", "As vendors of this kind take it"),
                    ("always", "Always: ask for it with stream_options"),
                    ("never", "Never: the upstream refuses stream_options"),
                ],
                db_default="auto",
                default="auto",
                help_text="Whether streams are asked for their token counts. Without them their cost is unknown.",
                max_length=8,
            ),
        ),
    ]
