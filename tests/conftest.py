"""What all tests share: property tests that no load of the machine can fail."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "wardian",
    settings.default,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("wardian")
