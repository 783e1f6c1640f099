"""The credentials that the sandbox accepts: made up, worth nothing anywhere else."""

ZENDESK_EMAIL = "agent@acme.example"
ZENDESK_TOKEN = "sandbox-zendesk-token-4b1f"  # noqa: S105  accepted by the sandbox only
ZENDESK_BEARER = "sandbox-zendesk-oauth-9d20"
MIXPANEL_USER = "sandbox.2f6c1a.mp-service-account"
MIXPANEL_SECRET = "sandbox-mixpanel-secret-77ce"  # noqa: S105  accepted by the sandbox only
MIXPANEL_PROJECT = "3127001"
STRIPE_KEY = "sk_test_sandbox51Kx0000000000000000"
STRIPE_EU_KEY = "sk_test_sandbox77Eu0000000000000000"
ECHO_KEY = "sandbox-echo-key-5e1f0a"

ENVIRONMENT = {
    "ZENDESK_SUBDOMAIN": "acme",
    "ZENDESK_EMAIL": ZENDESK_EMAIL,
    "ZENDESK_TOKEN": ZENDESK_TOKEN,
    "MIXPANEL_USER": MIXPANEL_USER,
    "MIXPANEL_SECRET": MIXPANEL_SECRET,
    "MIXPANEL_PROJECT": MIXPANEL_PROJECT,
    "STRIPE_API_KEY": STRIPE_KEY,
    "STRIPE_EU_API_KEY": STRIPE_EU_KEY,
}
"""The same as environment variables, under the names that the shipped source files and the README's read."""
