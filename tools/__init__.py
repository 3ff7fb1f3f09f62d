"""What the Makefile and the tests use to run a real Airflow and a Flows emulator on this machine. Not in the wheel."""
