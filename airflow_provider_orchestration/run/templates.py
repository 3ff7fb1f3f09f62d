"""Templated fields as the text that the template gave, also where the DAG renders native objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2
    from airflow.sdk import BaseOperator, Context

    _Base = BaseOperator
else:
    _Base = object


class TextFields(_Base):
    """
    Renders each template of the templated fields to text.

    With ``render_template_as_native_obj=True`` Jinja makes ``12_34`` the number 1234 and ``0x10`` 16 (airflow-facts,
    "Found in use"): an account, an id or an event would be another one. A template that is the whole of ``variables``
    is left to Jinja, for it gives a dict.
    """

    def render_template(
        self,
        content: Any,
        context: Context,
        jinja_env: jinja2.Environment | None = None,
        seen_oids: set[int] | None = None,
    ) -> Any:
        """Render a value as every operator does, a text to text."""
        from jinja2.nativetypes import NativeEnvironment

        env = jinja_env or self.get_template_env()
        if not isinstance(content, str) or not isinstance(env, NativeEnvironment):
            return super().render_template(content, context, env, seen_oids)
        if seen_oids and id(content) in seen_oids:
            # Of a mapped list: a value, not a template.
            return content
        if content is getattr(self, "variables", None):
            return super().render_template(content, context, env, seen_oids)
        return self._as_text(content, context)

    def _as_text(self, content: str, context: Context) -> str:
        from airflow.sdk.definitions._internal.templater import create_template_env
        from airflow.sdk.definitions.context import render_template_to_string

        dag = self.get_dag()
        env = dag.get_template_env(force_sandboxed=True) if dag else create_template_env(native=False)
        by_file = content.endswith(tuple(self.template_ext))
        template = env.get_template(content) if by_file else env.from_string(content)
        return str(render_template_to_string(template, context))
