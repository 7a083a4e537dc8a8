"""Imported first by a service's ``__main__``: the garbage collector rests until everything is imported.

It would look through all modules again and again while they are made, a tenth of a start. ``service.run`` wakes it.
"""

import gc

gc.disable()
