"""Imported first by a service's ``__main__``: no core is left by a crash, and the garbage collector rests meanwhile.

It would look through all modules again and again while they are made, a tenth of a start. ``service.run`` wakes it.
"""

import gc

from ihala_runtime import core_dumps

core_dumps.refuse()
gc.disable()
