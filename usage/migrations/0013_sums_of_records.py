"""Makes the sums of the records that are there, a day a transaction, newest first, while servers go on.

What a server of the release before stores meanwhile, and later, is found by :mod:`usage.handover`. Ended halfway, it goes
on where it was when it is run again.
"""

from typing import Any

from django.db import migrations


def fill(apps: Any, editor: Any) -> None:
    # The code of the day: it reads columns that records have had from the beginning.
    from usage import handover, recounting
    from usage.sums_table import MODELS, UsageSum

    using = editor.connection.alias
    handover.take_over(using)
    for day in recounting.days(using):
        if not UsageSum.objects.using(using).filter(part=MODELS.days, bucket=day).exists():
            recounting.recount(day, using)


def give_back(apps: Any, editor: Any) -> None:
    from usage import handover

    handover.give_back(editor.connection.alias)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("usage", "0012_sums")]

    operations = [migrations.RunPython(fill, give_back)]
