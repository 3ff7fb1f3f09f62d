"""A Flows stack on this machine, for development and tests.

``python -m airflow_provider_orchestration.emulator`` starts it; ``testing.EmulatorProcess`` does so for a test.
It shares no code with the rest of the package: a misreading of the API would cancel itself out.
"""
