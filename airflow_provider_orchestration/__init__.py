"""Apache Airflow provider for Formance Flows, the engine that moves money in stages."""

__version__ = "0.1.0"
