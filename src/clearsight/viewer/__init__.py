"""A live map of an archive: its scenes, its scores, and the composite that a threshold makes of them.

`library` knows what there is, `chunks` reads and keeps pixels, `looks` checks what is asked for, `drawing` makes
pictures, `app` answers, `guard` stands before it, `server` opens the door, `report` writes a page to send.
"""

from clearsight.viewer.server import Viewer as Viewer
from clearsight.viewer.server import view as view
