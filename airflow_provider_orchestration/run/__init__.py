"""The life of a run: submitted once, waited for, judged. Knows hooks, not operators."""
