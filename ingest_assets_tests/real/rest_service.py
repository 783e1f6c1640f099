"""Orders of a shop, served by Django REST framework's own generic views: `python rest_service.py FOLDER PORT`.

Run by the Python of an environment that has the library; the tests fill and read the same SQLite file.
"""

import sys
from pathlib import Path

import django
from django.conf import settings

folder, port = Path(sys.argv[1]), sys.argv[2]
settings.configure(
    DEBUG=False,
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["127.0.0.1"],
    USE_TZ=True,
    STATIC_URL="static/",
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "shop.db"}},
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "rest_framework",
        "rest_framework.authtoken",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    REST_FRAMEWORK={"DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"]},
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 -- Django wants its settings first
from django.core.management import call_command, execute_from_command_line  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.urls import include, path  # noqa: E402
from rest_framework import generics, pagination, serializers  # noqa: E402
from rest_framework.authentication import SessionAuthentication, TokenAuthentication  # noqa: E402
from rest_framework.authtoken.views import obtain_auth_token  # noqa: E402


class Order(models.Model):
    number = models.BigIntegerField()
    amount = models.DecimalField(max_digits=12, decimal_places=2)
    weight = models.FloatField(null=True)
    paid = models.BooleanField()
    note = models.TextField(blank=True)
    created = models.DateTimeField()

    class Meta:
        app_label = "shop"
        db_table = "orders"
        ordering = ("id",)


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    sku = models.CharField(max_length=40)
    quantity = models.IntegerField()

    class Meta:
        app_label = "shop"
        db_table = "lines"
        ordering = ("id",)


class LineSerializer(serializers.ModelSerializer):
    class Meta:
        model = Line
        fields = ("id", "sku", "quantity")


class OrderSerializer(serializers.ModelSerializer):
    lines = LineSerializer(many=True)

    class Meta:
        model = Order
        fields = ("id", "number", "amount", "weight", "paid", "note", "created", "lines")


class Pages(pagination.PageNumberPagination):
    page_size = 20
    page_size_query_param = "page_size"
    max_page_size = 60


class Offsets(pagination.LimitOffsetPagination):
    default_limit = 20
    max_limit = 70


class Cursors(pagination.CursorPagination):
    page_size = 35
    ordering = "-created"


class Orders(generics.ListAPIView):
    queryset = Order.objects.prefetch_related("lines")
    serializer_class = OrderSerializer


class Search(Orders):
    """The orders of an amount or more, asked for by POST."""

    pagination_class = None

    def get_queryset(self):
        return super().get_queryset().filter(amount__gte=self.request.data["at_least"])

    def post(self, request):
        return self.list(request)


def listed(pages, auth):
    return Orders.as_view(pagination_class=pages, authentication_classes=[auth])


TOKEN, SESSION = TokenAuthentication, SessionAuthentication
urlpatterns = [
    path("token/", obtain_auth_token),
    path("", include("rest_framework.urls")),
    path("pages/", listed(Pages, TOKEN)),
    path("offsets/", listed(Offsets, TOKEN)),
    path("cursors/", listed(Cursors, TOKEN)),
    path("mine/pages/", listed(Pages, SESSION)),
    path("mine/search/", Search.as_view(authentication_classes=[SESSION])),
]

if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(Order)
        editor.create_model(Line)
    User.objects.create_user("jo", password=(folder / "password").read_text())
    execute_from_command_line(["manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"])
