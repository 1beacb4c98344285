"""How good are the scores? Labelled sets, metrics, peers, measures that need no labels, and the report.

`clearsight.evaluation.run.evaluate` is the door; the command is ``clearsight evaluate``.
"""
