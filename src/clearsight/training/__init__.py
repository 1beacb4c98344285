"""Training of the network: simulated clips, atmospheric similarity, mined sequences, the context network, export.

Needs the extra ``train`` (torch, onnx); nothing else of the package imports it.
"""
