"""The console's pages pass Django's own checks, which ``manage.py check`` may make before it loads them."""

from django.contrib import admin
from django.core import checks


def test_pages_pass_the_checks_of_djangos_admin() -> None:
    assert len(admin.site._registry) > 15
    assert checks.run_checks(tags=[checks.Tags.admin]) == []
