"""``manage.py sign_in_link``: let a superuser in when neither passwords nor the OpenID Connect provider do."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.urls import reverse
from django.utils.http import urlencode

from accounts.audited_command import AuditedCommand
from accounts.models import User
from accounts.recovery import LIFETIME, recovery_key


class Command(AuditedCommand):
    help = "Print a link that signs a superuser in to the console, once, without a password or OpenID Connect."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the superuser's e-mail address")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].strip().lower(), is_active=True, is_superuser=True).first()
        if person is None:
            raise CommandError(f"No active superuser has the address {options['email']!r}. createsuperuser makes one.")
        origin = settings.PUBLIC_URL.removesuffix(settings.BASE_PATH) or f"http://localhost:{settings.PORT}"
        self.stdout.write(f"{origin}{reverse('sign_in_link')}?{urlencode({'key': recovery_key(person)})}")
        minutes = LIFETIME.seconds // 60
        self.stderr.write(
            f"It lets in who opens it, once, within {minutes} minutes. A second factor is asked for, too."
        )
