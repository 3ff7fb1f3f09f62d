"""Nothing of ours: shows that the Airflow of the tests works, triggerer included."""

from datetime import timedelta

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, dag, get_current_context, task


class WaitInTriggerer(BaseOperator):
    """Defers for a second."""

    def execute(self, context):
        """Defer."""
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=1)), method_name="resume")

    def resume(self, context, event):
        """Say that it was resumed."""
        return "resumed"


@dag(schedule=None)
def plain():
    @task
    def greet():
        context = get_current_context()
        print("hello from", context["ti"].task_id)
        return {"conf": context["dag_run"].conf}

    greet() >> WaitInTriggerer(task_id="wait")


plain()
