"""The check before use: `outpost selftest`, the verbs `selftest` and `selftest.bump`, the page.

judge.py and bump.py decide (pure), part.py asks the unit, sign.py signs, command.py is the program.
It withholds the word `ready` and nothing else: alarms, calls for help and recording never ask it.
"""
