"""Programs that run in the peers' own environments; Clearsight starts them and never imports them.

Each is called with two paths, ``frames.npz`` (``images`` (time, band, y, x), ``bands``, ``level``) and the file to
write, ``answer.npz`` (``score`` (time, y, x) float32, ``seconds`` (time,)), and whatever the peer needs besides.
"""
