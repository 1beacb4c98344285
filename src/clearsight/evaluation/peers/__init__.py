"""Other people's masks, each in its own environment, on the same pixels.

`clearsight.evaluation.peers.registry` knows them all. None is ever imported by Clearsight: each runs as a program of
its own, in an environment that is made on demand.
"""
