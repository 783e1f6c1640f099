"""The APIs that the demo, the tests and the benchmarks run against: Zendesk, Mixpanel and Stripe on loopback."""

from ingest_assets.sandbox.process import Sandbox

__all__ = ["Sandbox"]
