"""The expressions of Flows triggers: parsed, checked, evaluated, as expr-lang does."""
