"""Imported first by a service's ``__main__``: no core is left by a crash, nothing is imported that is not needed.

Meanwhile the garbage collector rests: it would look through all modules again and again while they are made, a tenth of
a start. ``service.run`` wakes it.
"""

import gc

from ihala_runtime import core_dumps, unneeded

core_dumps.refuse()
unneeded.leave_out()
gc.disable()
