from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0003_usage_hours"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="trace_id",
            field=models.CharField(db_default="", default="", max_length=32),
        ),
        migrations.AddIndex(
            model_name="usagerecord",
            index=models.Index(
                condition=models.Q(("trace_id", ""), _negated=True), fields=["trace_id"], name="usage_trace"
            ),
        ),
    ]
